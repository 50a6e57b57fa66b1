"""Answers to the exercises of the chapter sharing."""

import heapq

from exercises import right, wrong

Jobs = list[tuple[str, int]]


@wrong("check_finished", "the third begins after the second")
def in_groups(jobs: Jobs, at_once: int) -> Jobs:
    done, now = [], 0
    while jobs:
        group, jobs = jobs[:at_once], jobs[at_once:]
        done += [(name, now + seconds) for name, seconds in group]
        now += max(seconds for _, seconds in group)
    return sorted(done, key=lambda each: each[1])


@wrong("check_finished", "both at once")
def one_after_the_other(jobs: Jobs, at_once: int) -> Jobs:
    done, now = [], 0
    for name, seconds in jobs:
        now += seconds
        done.append((name, now))
    return done


@wrong("check_finished", "one after the other")
def all_at_once(jobs: Jobs, at_once: int) -> Jobs:
    return sorted(jobs, key=lambda each: each[1])


@wrong("check_finished", "both at once")
def in_the_order_of_the_queue(jobs: Jobs, at_once: int) -> Jobs:
    free, done = [0] * at_once, []
    for name, seconds in jobs:
        begins = min(free)
        free[free.index(begins)] = begins + seconds
        done.append((name, begins + seconds))
    return done


@right("check_finished")
def with_a_heap(jobs: Jobs, at_once: int) -> Jobs:
    free = [0] * at_once
    done = []
    for number, (name, seconds) in enumerate(jobs):
        end = heapq.heappop(free) + seconds
        heapq.heappush(free, end)
        done.append((end, number, name))
    return [(name, end) for end, _, name in sorted(done)]


@right("check_finished")
def second_by_second(jobs: Jobs, at_once: int) -> Jobs:
    waiting, running, done, now = list(jobs), [], [], 0
    while waiting or running:
        ended = [each for each in running if each[1] <= now]
        done += [(name, now) for name, _ in ended]
        running = [each for each in running if each[1] > now]
        while waiting and len(running) < at_once:
            name, seconds = waiting.pop(0)
            if seconds:
                running.append((name, now + seconds))
            else:
                done.append((name, now))
        now += 1
    return done
