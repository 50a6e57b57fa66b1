"""Answers to the exercises of the chapter on asyncio beside our loop."""

import asyncio

from exercises import right, wrong


@right("check_tell")
async def with_a_loop(writers, line, limit):
    full = []
    for writer in writers:
        writer.write(line)
        if writer.transport.get_write_buffer_size() > limit:
            full.append(writer)
    return full


@right("check_tell")
async def as_a_set_in_tasks(writers, line, limit):
    async def one(writer):
        writer.write(line)
        return writer if writer.transport.get_write_buffer_size() > limit else None

    found = await asyncio.gather(*map(one, writers))
    return {writer for writer in found if writer is not None}


@wrong("check_tell", "still waits for somebody")
async def drains_each(writers, line, limit):
    for writer in writers:
        writer.write(line)
        await writer.drain()
    return []


@wrong("check_tell", "still waits for somebody")
async def drains_together(writers, line, limit):
    for writer in writers:
        writer.write(line)
    await asyncio.gather(*(writer.drain() for writer in writers))
    return [w for w in writers if w.transport.get_write_buffer_size() > limit]


@wrong("check_tell", "to be closed: expected ['full'], but got []")
async def looks_before_it_writes(writers, line, limit):
    full = [w for w in writers if w.transport.get_write_buffer_size() > limit]
    for writer in writers:
        writer.write(line)
    return full


@wrong("check_tell", "What the slow one got: expected b'hello\\n', but got b''")
async def leaves_out_who_has_something_waiting(writers, line, limit):
    full = []
    for writer in writers:
        if 0 < writer.transport.get_write_buffer_size() <= 4:
            continue
        writer.write(line)
        if writer.transport.get_write_buffer_size() > limit:
            full.append(writer)
    return full


@right("check_messages")
class WithABuffer:
    def __init__(self, reader):
        self.reader, self.buffer = reader, b""

    async def next(self):
        while not self.buffer or len(self.buffer) < 1 + self.buffer[0]:
            self.buffer += await self.reader.read(1)
        size = self.buffer[0]
        message, self.buffer = self.buffer[1 : size + 1], self.buffer[size + 1 :]
        return message


@right("check_messages")
class WithATaskThatStays:
    def __init__(self, reader):
        self.reader, self.task = reader, None

    async def read(self):
        size = (await self.reader.readexactly(1))[0]
        return await self.reader.readexactly(size)

    async def next(self):
        if self.task is None:
            self.task = asyncio.ensure_future(self.read())
        message = await asyncio.shield(self.task)
        self.task = None
        return message


@wrong("check_messages", "Cut after 1 bytes")
class ForgetsTheLength:
    def __init__(self, reader):
        self.reader = reader

    async def next(self):
        [size] = await self.reader.readexactly(1)
        return await self.reader.readexactly(size)


@wrong("check_messages", "Cut after 2 bytes")
class TakesWhatThereIs:
    def __init__(self, reader):
        self.reader, self.size = reader, None

    async def next(self):
        if self.size is None:
            [self.size] = await self.reader.readexactly(1)
        message, self.size = await self.reader.read(self.size), None
        return message


@wrong("check_messages", "Cut after")
class LosesTheBeginning:
    def __init__(self, reader):
        self.reader, self.size = reader, None

    async def next(self):
        if self.size is None:
            [self.size] = await self.reader.readexactly(1)
        message = b""
        while len(message) < self.size:
            message += await self.reader.read(self.size - len(message))
        self.size = None
        return message
