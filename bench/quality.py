# SPDX-License-Identifier: MIT
"""
quality - what rules, profile and dedup cost, beside a run that only copies

The same NDJSON files, transformed into NDJSON, and the same chat, extracted; the processor's time for
each message, the best of three runs each.
"""
from sinks import measure

RULES = ['validate?field=date&required&severity=fail',
         'validate?field=text&max-length=4096&severity=drop',
         'validate?expr=date <= now and #text <= 16384']
RUNS = (  # name, stages
    ('copied', ['filter']),
    ('three rules, one in Lua', RULES),
    ('profile', ['profile?to={}/p.json&html={}/p.html']),
    ('dedup, two keys', ['dedup?keys=chat_id,id']),
    ('dedup, 1 MiB of memory', ['dedup?keys=chat_id,id&memory=1MiB']),
    ('rules, profile, dedup', [*RULES, 'dedup?keys=chat_id,id', 'profile?to={}/p.json']))


def part(say, options, tmp, clients):
    source, result = clients.tgdata(keep=True), {}
    say(f'{"stages":28} {"us/message":>11} {"times":>6}')
    for i, (name, stages) in enumerate(RUNS):
        words = [w for s in stages for w in ('--stage', s.replace('{}', tmp))]
        took = min(measure([options.program, 'transform', 'ndjson:' + source.out_directory, '--to',
                            f'ndjson:{tmp}/quality{i}.{k}', '--state',
                            f'sqlite:{tmp}/quality.state', '--job', f'quality{i}.{k}',
                            '--progress', 'none', '--quiet', *words])['cpu_s']
                   for k in range(3)) * 1e6 / source.messages
        result[name] = took
        say(f'{name:28} {took:11.2f} {took / result["copied"]:6.2f}')
    extracted(say, tmp, clients, result)
    say('  goal: rules, profile and dedup together at most 2 times')
    return result


def extracted(say, tmp, clients, result):
    say(f'{"extracted":28} {"us/message":>11} {"times":>6}')
    for name, stages in (('plain', []), *RUNS[1:]):
        words = [w for s in stages for w in ('--stage', s.replace('{}', tmp))]
        runs = [clients.tgdata(*words) for _ in range(3)]
        took = min(run.cpu_s / run.messages for run in runs) * 1e6
        result['extracted: ' + name] = took
        say(f'{name:28} {took:11.2f} {took / result["extracted: plain"]:6.2f}')
