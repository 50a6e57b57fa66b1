// A good server for the stage `protocol`, for Node.js: node protocol_node.js PORT [LIMIT=NUMBER...]
// Written from protocol/README.md and protocol/schema.json alone. It has no accounts and no moderation.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");

const limits = {
  line: 16384, content: 4000, server_line: 65536, rooms: 20,
  flood_burst: 20, flood_rate: 5, flood_excess: 100,
  ping_after: 30, ping_timeout: 20, resume_window: 60, history_messages: 1000,
};
for (const argument of process.argv.slice(3)) {
  const [name, number] = argument.split("=");
  limits[name] = Number(number);
}
const QUEUE = 1000000, PAGE = 100, IDS = 256, BAD_LINES = 10;
const EPOCH = crypto.randomBytes(4).toString("hex");
const types = JSON.parse(fs.readFileSync(path.join(__dirname, "..", "..", "protocol", "schema.json"), "utf8")).$defs;
const commands = new Map(types.command.anyOf.map(({ $ref }) => {
  const type = types[$ref.split("/").pop()];
  return [type.properties.type.enum[0], type];
}));
const ACCOUNTS = new Set(["register", "login", "logout", "password", "delete_account", "read"]);
const UNSAFE = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]/;

class Wrong extends Error {
  constructor(code, content, more = {}) {
    super(content);
    this.event = { type: "error", code, content, ...more };
  }
}

// --- from lines to commands

function parse(line) {
  let text, fields;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
  } catch { throw new Wrong("bad_utf8", "not UTF-8"); }
  try {
    fields = JSON.parse(text);
  } catch (error) { throw new Wrong("bad_json", error.message); }
  if (!JSON.stringify(fields).isWellFormed() || /\\ud[89a-f]/.test(JSON.stringify(fields))) throw new Wrong("bad_json", "half of a surrogate pair");
  if (fields === null || typeof fields !== "object" || Array.isArray(fields) || typeof fields.type !== "string") {
    throw new Wrong("bad_message", "expected an object with a `type`");
  }
  try {
    return checkFields(fields);
  } catch (wrong) {
    if (fields.id != null && fits(fields.id, types.Ok.properties.id)) wrong.event.id = fields.id;
    throw wrong;
  }
}

function checkFields(fields) {
  const type = commands.get(fields.type), command = {};
  if (!type) throw new Wrong("unknown_type", `${JSON.stringify(fields.type)} is not known`);
  for (const [name, schema] of Object.entries(type.properties)) {
    const given = Object.hasOwn(fields, name);
    if (!given && type.required.includes(name)) throw new Wrong("bad_message", `\`${name}\` is missing`);
    if (given && !fits(fields[name], schema)) throw new Wrong(codeFor(name, fields[name], schema), `\`${name}\` is wrong`);
    command[name] = given ? fields[name] : schema.default ?? null;
  }
  for (const name of ["content", "status"]) {
    if (UNSAFE.test(command[name] ?? "")) throw new Wrong("bad_message", `\`${name}\`: a control character`);
  }
  if (/[\t\n]/.test(command.status ?? "")) throw new Wrong("bad_message", "`status`: a tab or a newline");
  return command;
}

function fits(value, schema) {
  if (schema.anyOf) return schema.anyOf.some((each) => fits(value, each));
  if (schema.enum) return schema.enum.includes(value);
  switch (schema.type) {
    case "null": return value === null;
    case "boolean": return typeof value === "boolean";
    case "string": {
      const length = typeof value === "string" ? [...value].length : -1;
      return length >= (schema.minLength ?? 0) && length <= (schema.maxLength ?? Infinity) && new RegExp(schema.pattern ?? "").test(value);
    }
    case "integer": if (!Number.isInteger(value)) return false; // falls through
    case "number": return typeof value === "number" && value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity);
    default: return false;
  }
}

function codeFor(name, value, schema) {
  if (typeof value !== "string") return "bad_message";
  if (name === "username" || name === "to") return "bad_name";
  if (name === "room") return "bad_room";
  return [...value].length > (schema.maxLength ?? Infinity) ? "too_long" : "bad_message";
}

// --- who is where

const people = new Map(), rooms = new Map(); // by name in lower case
const now = () => Date.now() / 1000;
const inOrder = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

function tell(client, event) {
  if (!client || client.ended) return;
  if (client.socket.writableLength > QUEUE) client.socket.destroy();
  else if (client.socket.writable) client.socket.write(JSON.stringify(event) + "\n");
}

const tellPerson = (person, event) => tell(person.client, event);

function tellRoom(room, event) {
  const whole = { room: room.name, timestamp: now(), ...event };
  for (const person of room.members.values()) if (!person.away.has(room.name)) tellPerson(person, whole);
}

function roomOf(person, name) {
  const here = [...person.rooms.keys()].filter((each) => !person.away.has(each));
  const wanted = name ? name.toLowerCase() : here.at(-1);
  if (!here.includes(wanted)) throw new Wrong("not_joined", `you are not in ${wanted ?? "a room"}`);
  return person.rooms.get(wanted);
}

function userList(room, after) {
  const names = [...room.members.keys()].filter((name) => name > (after ?? "").toLowerCase()).sort(inOrder);
  const page = names.slice(0, PAGE).map((name) => room.members.get(name));
  const statuses = Object.fromEntries(page.filter(({ status }) => status !== "online").map((each) => [each.name, each.status]));
  return { type: "users", room: room.name, users: page.map(({ name }) => name), statuses, after, more: names.length > PAGE };
}

function fitting(messages) {
  let size = 1000;
  const wrong = messages.findIndex((each) => (size += Buffer.byteLength(JSON.stringify(each)) + 2) > limits.server_line);
  return wrong < 0 ? messages : messages.slice(0, wrong);
}

function historyPage(room, { before = null, after = null, limit = 1000 }, id = {}) {
  const kept = room.history, first = kept.length ? kept[0].seq : room.seq + 1;
  let messages, more, lost;
  if (after !== null) {
    messages = fitting(kept.filter(({ seq }) => seq > after).slice(0, limit));
    more = messages.length > 0 && messages.at(-1).seq < room.seq;
    lost = Math.max(0, first - 1 - after);
  } else {
    const stop = before === null ? room.seq : Math.min(before - 1, room.seq);
    messages = fitting(kept.filter(({ seq }) => seq <= stop).slice(-limit).reverse()).reverse();
    more = messages.length > 0 && messages[0].seq > first;
    lost = more ? 0 : Math.max(0, stop - messages.length);
  }
  return { type: "history", room: room.name, messages, more, lost, ...id };
}

// --- what a server does

const rules = {
  join(client, command) {
    const where = command.room.toLowerCase(), name = command.username;
    let person = client.person, waiting = [];
    if (!person) [person, waiting] = admit(client, name, command.token);
    else if (name.toLowerCase() !== person.name.toLowerCase()) throw new Wrong("already_joined", `you are ${person.name}`);
    else if (person.rooms.has(where) && !person.away.has(where)) throw new Wrong("already_joined", `you are in ${where}`);
    else if (!person.rooms.has(where) && person.rooms.size >= limits.rooms) throw new Wrong("bad_room", "one room too many");
    if (!rooms.has(where)) rooms.set(where, { name: where, seq: 0, members: new Map(), history: [] });
    const room = rooms.get(where);
    if (!person.rooms.has(where)) {
      tellRoom(room, { type: "join", username: person.name });
      room.members.set(person.name.toLowerCase(), person);
    }
    person.rooms.delete(where);
    person.rooms.set(where, room); // the one entered last comes last
    person.away.delete(where);
    const hello = { username: person.name, room: where, token: person.token, seq: room.seq, epoch: EPOCH };
    tell(client, { type: "welcome", content: `Welcome, ${person.name}.`, protocol: 1, limits, features: [], ...hello });
    tell(client, userList(room, null));
    if (command.since !== null) tell(client, historyPage(room, { after: command.since <= room.seq ? command.since : 0 }));
    for (const { event } of waiting) tell(client, event);
  },
  leave(client, command) {
    if (command.room === null) return goodbye(client, "left", false);
    if (!client.person) throw new Wrong("not_joined", "join first");
    const room = roomOf(client.person, command.room);
    tellRoom(room, { type: "leave", username: client.person.name });
    takeOut(client.person, room);
  },
  message({ person }, command, id) {
    if (wasSaid(person, command)) return;
    const room = roomOf(person, command.room);
    room.seq += 1;
    const message = { type: "message", room: room.name, seq: room.seq, username: person.name, content: command.content, timestamp: now() };
    room.history.push(message);
    if (room.history.length > limits.history_messages) room.history.shift();
    tellRoom(room, message);
    confirm(person, id, { seq: room.seq });
  },
  whisper({ person }, command, id) {
    if (wasSaid(person, command)) return;
    const other = people.get(command.to.toLowerCase());
    if (!other) throw new Wrong("no_such_user", `${command.to} is not here`);
    if (!other.client && other.waiting.length >= PAGE) throw new Wrong("not_delivered", "enough waits already", { retry_after: 1 });
    const event = { type: "whisper", username: person.name, to: other.name, content: command.content, timestamp: now() };
    if (!other.client) other.waiting.push({ event, sender: person, id });
    for (const each of new Set([other, person])) tellPerson(each, event);
    confirm(person, id, {});
  },
  status({ person }, command) {
    person.status = command.status;
    const others = [...person.rooms.values()].flatMap((room) => [...room.members.values()]);
    for (const each of new Set([...others, person])) {
      tellPerson(each, { type: "status", username: person.name, status: person.status, timestamp: now() });
    }
  },
  users: (client, command) => tell(client, userList(roomOf(client.person, command.room), command.after)),
  rooms(client, { after }) {
    const names = [...rooms.keys()].filter((name) => rooms.get(name).members.size && name > (after ?? "").toLowerCase()).sort(inOrder);
    const page = names.slice(0, PAGE).map((room) => ({ room, users: rooms.get(room).members.size }));
    tell(client, { type: "rooms", rooms: page, after, more: names.length > PAGE });
  },
  history(client, command, id) {
    const room = roomOf(client.person, command.room);
    if (command.before !== null && command.after !== null) throw new Wrong("bad_message", "`before` and `after` together");
    tell(client, historyPage(room, command, id));
  },
  ping: (client, command, id) => tell(client, { type: "pong", ...id }),
  pong() {},
};

function admit(client, name, token) {
  const key = name.toLowerCase();
  let person = people.get(key);
  if (person && person.token !== token) throw new Wrong("name_taken", `${person.name} is taken`, { retry_after: 1 });
  if (!person) {
    const token = crypto.randomBytes(16).toString("base64url");
    person = { name, token, status: "online", rooms: new Map(), ids: new Map() };
    people.set(key, person);
  } else if (person.client) {
    const older = person.client;
    older.person = null;
    goodbye(older, "replaced", false);
  }
  const waiting = person.waiting ?? [];
  Object.assign(person, { client, waiting: [], away: new Set(person.rooms.keys()) });
  client.person = person;
  return [person, waiting];
}

function wasSaid(person, { id, follows }) {
  if (id !== null && person.ids.has(id)) {
    tellPerson(person, person.ids.get(id));
    return true;
  }
  if (follows !== null && !person.ids.has(follows)) throw new Wrong("out_of_order", `${follows} was not said`, { retry_after: 0 });
  return false;
}

function confirm(person, id, seq) {
  if (id.id === undefined) return;
  person.ids.set(id.id, { type: "ok", ...id, ...seq });
  if (person.ids.size > IDS) person.ids.delete(person.ids.keys().next().value);
  tellPerson(person, person.ids.get(id.id));
}

function goodbye(client, code, reconnect, more = {}) {
  if (client.person && !reconnect) gone(client.person);
  lost(client);
  tell(client, { type: "goodbye", code, content: code, reconnect, ...more });
  client.ended = true;
  client.socket.end();
}

// The connection is at its end; its name and its places are held for a while.
function lost(client) {
  const { person } = client;
  if (!person) return;
  client.person = person.client = null;
  clearTimeout(person.timer);
  person.timer = setTimeout(expire, limits.resume_window * 1000, person);
}

function expire(person) {
  if (!person.client && people.get(person.name.toLowerCase()) === person) gone(person);
  for (const name of [...person.away]) { // it came back, but not into these
    const room = person.rooms.get(name);
    if (!room) continue;
    tellRoom(room, { type: "leave", username: person.name });
    takeOut(person, room);
  }
}

function gone(person) {
  if (person.client) person.client.person = person.client = null;
  people.delete(person.name.toLowerCase());
  for (const room of [...person.rooms.values()]) {
    takeOut(person, room);
    tellRoom(room, { type: "leave", username: person.name });
  }
  for (const { sender, id } of person.waiting) {
    tellPerson(sender, new Wrong("not_delivered", `${person.name} has not come back`, id).event);
  }
}

function takeOut(person, room) {
  room.members.delete(person.name.toLowerCase());
  person.rooms.delete(room.name);
  person.away.delete(room.name);
}

// --- one line

function wait(client) {
  const { flood_burst: burst, flood_rate: rate } = limits, time = now();
  client.tokens = Math.min(burst, client.tokens + (time - client.filled) * rate);
  client.filled = time;
  if (!burst || client.tokens >= 1) {
    client.tokens -= 1;
    client.refused = 0;
    return 0;
  }
  client.refused += 1;
  return (1 - client.tokens) / rate;
}

function receive(client, line) {
  let command = null, error = null;
  try {
    if (line === null) throw new Wrong("too_long", `a line may have ${limits.line} bytes`);
    command = parse(line);
    client.badLines = 0;
  } catch (wrong) {
    if (!wrong.event) throw wrong;
    client.badLines += 1;
    error = wrong.event;
  }
  const told = (command ?? error).id, id = told == null ? {} : { id: told };
  const seconds = client.badLines < BAD_LINES ? wait(client) : 0;
  if (seconds && client.refused > limits.flood_excess) return goodbye(client, "rate_limited", true, { retry_after: seconds });
  if (seconds) return command?.type === "pong" || tell(client, new Wrong("rate_limited", "too fast", { retry_after: seconds, ...id }).event);
  if (error) {
    tell(client, error);
    return client.badLines >= BAD_LINES && goodbye(client, "bad_message", false);
  }
  try {
    follow(client, command, id);
  } catch (wrong) {
    if (!wrong.event) throw wrong;
    tell(client, { ...wrong.event, ...id });
  }
}

function follow(client, command, id) {
  if (ACCOUNTS.has(command.type)) throw new Wrong("no_accounts", "this server has no accounts");
  const rule = rules[command.type];
  if (!rule) throw new Wrong("unknown_type", `this server does not know ${command.type}`);
  if (!client.person && !["join", "leave", "ping", "pong"].includes(command.type)) throw new Wrong("not_joined", "join first");
  rule(client, command, id);
}

// --- the network

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

function visit(socket) {
  const client = { socket, person: null, ended: false, badLines: 0, tokens: limits.flood_burst, filled: now(), refused: 0 };
  let data = Buffer.alloc(0), skipping = false, first = true, asked = false;
  const take = (line) => {
    if (line.at(-1) === 13) line = line.subarray(0, -1);
    if (first && line.subarray(0, 3).equals(BOM)) line = line.subarray(3);
    if (client.ended || !line.toString("latin1").trim()) return;
    first = false;
    receive(client, line.length > limits.line ? null : line);
  };
  socket.setNoDelay(true);
  socket.setTimeout(limits.ping_after * 1000);
  socket.on("timeout", () => {
    if (asked) goodbye(client, "idle", true, { retry_after: 0 });
    else tell(client, { type: "ping" });
    asked = true;
    socket.setTimeout(limits.ping_timeout * 1000);
  });
  socket.on("data", (chunk) => {
    asked = false;
    socket.setTimeout(limits.ping_after * 1000);
    data = Buffer.concat([data, chunk]);
    for (let at; (at = data.indexOf(10)) >= 0; data = data.subarray(at + 1)) {
      if (!skipping) take(data.subarray(0, at));
      skipping = false;
    }
    if (data.length > limits.line) {
      if (!skipping) receive(client, null);
      [data, skipping] = [Buffer.alloc(0), true];
    }
  });
  socket.on("end", () => take(data));
  socket.on("error", () => {}); // it is gone; "close" follows
  socket.on("close", () => lost(client));
}

net.createServer(visit).listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 200 });
