"""Answers to the exercise of the chapter on the client for asyncio."""

import asyncio

from exercises import right, wrong

from python_tcp.events import Message


async def first_of(number, chat):
    async for event in chat:
        if isinstance(event, Message):
            return number, event.content
    return None


@right("check_first_said")
async def with_wait(chats):
    running = {asyncio.create_task(first_of(n, chat)) for n, chat in enumerate(chats)}
    everybody = set(running)
    found = None
    while running and found is None:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        found = next((task.result() for task in done if task.result()), None)
    for task in running:
        task.cancel()
    await asyncio.gather(*everybody, return_exceptions=True)
    return found


@right("check_first_said")
async def with_a_queue_and_a_group(chats):
    queue, left = asyncio.Queue(), len(chats)

    async def read(number, chat):
        await queue.put(await first_of(number, chat))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read(n, chat)) for n, chat in enumerate(chats)]
        found = None
        while left and found is None:
            found = await queue.get()
            left -= 1
        for task in tasks:
            task.cancel()
    return found


@wrong("check_first_said", "One that is slow and one that is quick")
async def one_after_the_other(chats):
    for number, chat in enumerate(chats):
        if (found := await first_of(number, chat)) is not None:
            return found
    return None


@wrong("check_first_said", "got ((1, 'quick'), 1)")
async def leaves_tasks_behind(chats):
    tasks = [asyncio.create_task(first_of(n, chat)) for n, chat in enumerate(chats)]
    for done in asyncio.as_completed(tasks):
        if (found := await done) is not None:
            return found
    return None


@wrong("check_first_said", "One is silent")
async def takes_an_end_for_an_answer(chats):
    tasks = [asyncio.create_task(first_of(n, chat)) for n, chat in enumerate(chats)]
    if not tasks:
        return None
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return done.pop().result()


@wrong("check_first_said", "still waits for a chat")
async def waits_for_all(chats):
    tasks = [first_of(n, chat) for n, chat in enumerate(chats)]
    found = [each for each in await asyncio.gather(*tasks) if each is not None]
    return max(found, default=None)
