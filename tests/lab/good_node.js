// A good server for each stage of the lab, for Node.js: node good_node.js STAGE PORT
"use strict";
const net = require("node:net");
const [stage, port] = [process.argv[2], Number(process.argv[3])];
const LINE = 4096, OBJECT = 65536, FRAME = 16384, QUEUE = 4000000;

// Calls `take` with each line without its end (null: too long), and `end` at the end of the input.
function lines(socket, most, take) {
  let data = Buffer.alloc(0), skipping = false;
  socket.on("data", (chunk) => {
    data = Buffer.concat([data, chunk]);
    for (let at; (at = data.indexOf(10)) >= 0; data = data.subarray(at + 1)) {
      let line = data.subarray(0, at);
      if (line.length && line[line.length - 1] === 13) line = line.subarray(0, -1);
      if (skipping) skipping = false;
      else take(line.length > most ? null : line);
    }
    if (data.length > most + 1) {
      if (!skipping) take(null);
      [data, skipping] = [Buffer.alloc(0), true];
    }
  });
}

function tell(socket, data) {
  if (socket.writableLength > QUEUE) socket.destroy();
  else if (!socket.destroyed && socket.writable) socket.write(data);
}

const members = new Map(); // name -> socket
const all = (text) => { for (const socket of [...members.values()]) tell(socket, text); };

function command(name, socket, text) {
  const [word, to, ...rest] = text.split(" ");
  if (word === "/users" && to === undefined) tell(socket, `* users: ${[...members.keys()].sort().join(", ")}\n`);
  else if (word === "/whisper" && rest.length && members.has(to)) {
    tell(members.get(to), `${name} whispers: ${rest.join(" ")}\n`);
    tell(socket, `* whispered to ${to}\n`);
  } else if (word === "/whisper" && rest.length) tell(socket, `* nobody is called ${to}\n`);
  else tell(socket, "* unknown command\n");
}

function chat(socket) {
  let name = "";
  tell(socket, "NICK\n");
  lines(socket, LINE, (line) => {
    if (line === null) return tell(socket, "* too long\n");
    const text = line.toString("utf8");
    if (!name) {
      if (!text || members.has(text)) return tell(socket, `* ${text} is taken\n`);
      name = text;
      members.set(name, socket);
      all(`* ${name} joined\n`);
    } else if (text.startsWith("/")) command(name, socket, text);
    else all(`${name}: ${text}\n`);
  });
  const gone = () => {
    if (name && members.get(name) === socket) {
      members.delete(name);
      all(`* ${name} left\n`);
    }
  };
  socket.on("end", gone);
  socket.on("close", gone);
}

const rooms = new Map(); // socket -> [name, room]
const pack = (type, payload) => JSON.stringify({ type, payload }) + "\n";
const tellRoom = (room, data) => { for (const [socket, [, where]] of [...rooms]) if (where === room) tell(socket, data); };

function connect(socket) {
  lines(socket, OBJECT, (line) => {
    let message = null;
    try { message = JSON.parse(line.toString("utf8")); } catch { /* an error, below */ }
    const payload = message && message.payload;
    const text = (value) => typeof value === "string";
    if (message && message.type === "connect" && payload && text(payload.name) && text(payload.room)) {
      const { name, room } = payload;
      tellRoom(room, pack("notification", { room, text: `${name} joined` }));
      rooms.set(socket, [name, room]);
      tell(socket, pack("connect_ack", { name, room }));
    } else if (message && message.type === "message" && payload && text(payload.text) && rooms.has(socket)) {
      const [sender, room] = rooms.get(socket);
      tellRoom(room, pack("message", { sender, room, text: payload.text }));
    } else tell(socket, pack("error", { text: "expected a message" }));
  });
  const gone = () => {
    if (!rooms.has(socket)) return;
    const [name, room] = rooms.get(socket);
    rooms.delete(socket);
    tellRoom(room, pack("notification", { room, text: `${name} left` }));
  };
  socket.on("end", gone);
  socket.on("close", gone);
}

function length(socket) {
  let data = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    data = Buffer.concat([data, chunk]);
    while (data.length >= 4) {
      const size = data.readUInt32BE(0);
      if (size > FRAME) return socket.destroy();
      if (data.length < 4 + size) return;
      const frame = Buffer.from(data.subarray(4, 4 + size)).reverse();
      socket.write(Buffer.concat([data.subarray(0, 4), frame]));
      data = data.subarray(4 + size);
    }
  });
}

const serve = {
  echo: (socket) => socket.pipe(socket),
  lines: (socket) => lines(socket, LINE, (line) => tell(socket, line === null ? "too long\n" : Buffer.concat([Buffer.from(`${line.length} `), line, Buffer.from("\n")]))),
  length, connect,
}[stage] || chat;

const server = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => {}); // it is gone; "close" follows
  serve(socket);
}).listen({ port, host: "127.0.0.1", backlog: 200 });

process.on("SIGTERM", () => {
  all("* server closes\n");
  for (const socket of members.values()) socket.end();
  server.close();
  setTimeout(() => process.exit(0), 50);
});
