/**
 * `node bench/dist/endurance-main.js --device cuda --test generations --times 1000`: prints memory while work repeats,
 * and fails when any of it grew by more than a hundredth or 16 MB.
 */
import { argv } from 'node:process';
import { parseArgs } from 'node:util';
import { InputError } from '@pergola/core';
import { openDevice } from '@pergola/trellis';
import { ENDURANCE_TESTS } from './gpu/endurance.ts';

const { values } = parseArgs({
  args: argv.slice(2),
  options: {
    device: { type: 'string', default: 'auto' },
    test: { type: 'string', default: 'generations' },
    times: { type: 'string', default: '1000' },
  },
});

const SLACK_BYTES = 16e6;
const SLACK_SHARE = 0.01;

const test = Object.entries(ENDURANCE_TESTS).find(([name]) => name === values.test)?.[1];
const times = Number(values.times);
if (test === undefined || !Number.isInteger(times) || times < 1) {
  throw new InputError(
    `endurance: needs --test ${Object.keys(ENDURANCE_TESTS).join(' or ')} and --times of at least 1.`,
  );
}
using device = await openDevice(values.device);
console.log(device.info.description);
const { samples, growth } = await test(device, times, console.log);
const start = samples[0]!;
const grown = (['liveBytes', 'pooledBytes', 'hostBytes'] as const).filter(
  (name) => growth[name] > Math.max(SLACK_BYTES, SLACK_SHARE * start[name]),
);
console.log(grown.length === 0 ? 'Memory stayed flat.' : `Memory grew: ${grown.join(', ')}.`);
process.exitCode = grown.length === 0 ? 0 : 1;
