/** Samplers against the reference on a toy flow, and their behaviour when watched and stopped. */
import {
  add,
  assignData,
  InputError,
  mean,
  mul,
  sin,
  type Device,
  type Tensor,
} from '@pergola/core';
import {
  sampleFlow,
  timeGrid,
  type FlowSampler,
  type FlowSamplerName,
  type FlowSamplerParams,
  type SampleStep,
} from '@pergola/trellis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestDevice } from '../../../testdata/device.ts';
import { createRecordingDevice } from '../../../testdata/recording-device.ts';
import { synthInput } from '../../../testdata/synthetic.ts';
import { floats, openTestdata, relativeError } from './golden.ts';

const TOLERANCE = 1e-5;

let device: Device;
let golden: Awaited<ReturnType<typeof openTestdata>>;
let noise: Tensor;
let condition: Tensor;
let negative: Tensor;
beforeAll(async () => {
  device = await openTestDevice();
  golden = await openTestdata('golden/pipeline.safetensors');
  noise = device.tensor(synthInput('noise', [2, 3, 5]), [2, 3, 5]);
  condition = device.tensor(synthInput('cond', [2, 4, 6]), [2, 4, 6]);
  negative = device.tensor(new Float32Array(48).fill(0.3), [2, 4, 6]);
});
afterAll(() => device.dispose());

/** The toy network of the golden file. */
function toyVelocity(x: Tensor, time: number, cond: Tensor): Tensor {
  const drift = mul(mean(cond, { axes: [1, 2] }).reshape(2, 1, 1), time / 1000);
  return add(add(mul(x, 0.5), drift), mul(sin(mul(x, 3)), 0.1));
}

function sampler(name: FlowSamplerName, params: Partial<FlowSamplerParams>): FlowSampler {
  const defaults = { steps: 12, rescaleT: 3, cfgStrength: 3, cfgInterval: [0, 1] as const };
  return { name, sigmaMin: 1e-5, params: { ...defaults, ...params } };
}

describe('against the reference', () => {
  test('without guidance, with every state and prediction', async () => {
    const states: number[] = [];
    const predictions: number[] = [];
    const out = await sampleFlow(sampler('FlowEulerSampler', { steps: 7 }), toyVelocity, noise, {
      conditions: [condition],
      onStep: async (step) => {
        states.push(...(await step.x.floats()));
        predictions.push(...(await step.predictedData().floats()));
      },
    });
    expect(relativeError(await out.floats(), await floats(golden, 'euler/samples'))).toBeLessThan(
      TOLERANCE,
    );
    expect(relativeError(states, await floats(golden, 'euler/pred_x_t'))).toBeLessThan(TOLERANCE);
    expect(relativeError(predictions, await floats(golden, 'euler/pred_x_0'))).toBeLessThan(
      TOLERANCE,
    );
    out.dispose();
  });

  test('with guidance at every step', async () => {
    const named = sampler('FlowEulerCfgSampler', { steps: 7, cfgStrength: 2.5 });
    using out = await sampleFlow(named, toyVelocity, noise, { conditions: [condition], negative });
    const error = relativeError(await out.floats(), await floats(golden, 'euler_cfg/samples'));
    expect(error).toBeLessThan(TOLERANCE);
  });

  test('with guidance in an interval', async () => {
    const named = sampler('FlowEulerGuidanceIntervalSampler', {
      cfgStrength: 7.5,
      cfgInterval: [0.5, 0.95],
    });
    const states: number[] = [];
    using out = await sampleFlow(named, toyVelocity, noise, {
      conditions: [condition],
      negative,
      onStep: async ({ x }) => {
        states.push(...(await x.floats()));
      },
    });
    const error = relativeError(await out.floats(), await floats(golden, 'euler_interval/samples'));
    expect(error).toBeLessThan(TOLERANCE);
    expect(relativeError(states, await floats(golden, 'euler_interval/pred_x_t'))).toBeLessThan(
      TOLERANCE,
    );
  });
});

test('the time grid ends at 0 and is denser towards the noise', () => {
  const expected = [1, 0.970588, 0.9375, 0.9, 0.857143, 0.807692, 0.75, 0.681818, 0.6, 0.5];
  const grid = timeGrid(12, 3);
  expected.forEach((t, i) => expect(grid[i]).toBeCloseTo(t, 6));
  expect(grid[9]).toBe(0.5);
  expect(grid.at(-1)).toBe(0);
  expect(grid).toHaveLength(13);
});

test('guidance acts in its interval, both ends included', async () => {
  const calls: [number, string][] = [];
  const named = sampler('FlowEulerGuidanceIntervalSampler', { cfgInterval: [0.5, 0.95] });
  using out = await sampleFlow(
    named,
    (x, time, which) => {
      calls.push([time, which]);
      return mul(x, 0);
    },
    noise,
    { conditions: ['positive'], negative: 'negative' },
  );
  expect(out.shape).toEqual([2, 3, 5]);
  const guided = calls.filter(([, which]) => which === 'negative').map(([time]) => time);
  expect(guided[0]).toBe(Math.fround(937.5));
  expect(guided.at(-1)).toBe(500);
  expect(guided).toHaveLength(8);
  expect(calls).toHaveLength(12 + 8);
});

describe('several conditions', () => {
  const constant = (x: Tensor, _time: number, value: number): Tensor => add(mul(x, 0), value);
  const steps = 5;

  test('stochastic takes one per step, in turn', async () => {
    const used: number[] = [];
    using out = await sampleFlow(
      sampler('FlowEulerCfgSampler', { steps }),
      (x, time, value) => {
        used.push(value);
        return constant(x, time, value);
      },
      noise,
      { conditions: [1, 2], negative: 0, mode: 'stochastic' },
    );
    expect(out.size).toBe(30);
    expect(used).toEqual([1, 0, 2, 0, 1, 0, 2, 0, 1, 0]);
  });

  test('multidiffusion averages over all, then guides', async () => {
    const plain = sampler('FlowEulerCfgSampler', { steps, cfgStrength: 2, rescaleT: 1 });
    using out = await sampleFlow(plain, constant, noise, {
      conditions: [1, 2, 6],
      negative: 0.5,
      mode: 'multidiffusion',
    });
    // Velocity 3 * 3 - 2 * 0.5 throughout, over a time of 1.
    const start = await noise.floats();
    (await out.floats()).forEach((value, i) => expect(value).toBeCloseTo(start[i]! - 8, 4));
  });
});

describe('recorded steps', () => {
  let recording: Device;
  beforeAll(async () => {
    recording = await createRecordingDevice();
  });
  afterAll(() => recording.dispose());

  /** The toy network with the time in a tensor; counts how often it is evaluated rather than replayed. */
  function toy() {
    const time = recording.scalar(0);
    const counter = { calls: 0 };
    const network = (x: Tensor, _time: number, cond: Tensor): Tensor => {
      counter.calls++;
      const drift = mul(mean(cond, { axes: [1, 2] }).reshape(2, 1, 1), mul(time, 1e-3));
      return add(add(mul(x, 0.5), drift), mul(sin(mul(x, 3)), 0.1));
    };
    return { network, counter, setTime: (t: number) => assignData(time, [t]), time };
  }

  test.each([
    // Each kind of step, plain and guided, is evaluated once to warm up and once to record.
    ['euler', sampler('FlowEulerSampler', { steps: 7 }), 2],
    [
      'euler_interval',
      sampler('FlowEulerGuidanceIntervalSampler', { cfgStrength: 7.5, cfgInterval: [0.5, 0.95] }),
      2 * 1 + 2 * 2,
    ],
  ] as const)('follow the path of %s', async (name, named, evaluations) => {
    const before = recording.memory().storages;
    {
      using start = recording.tensor(await noise.floats(), noise.shape);
      using cond = recording.tensor(await condition.floats(), condition.shape);
      using none = recording.tensor(await negative.floats(), negative.shape);
      const { network, counter, setTime, time } = toy();
      const states: number[] = [];
      const predictions: number[] = [];
      const out = await recording.run(() =>
        sampleFlow(named, network, start, {
          conditions: [cond],
          negative: none,
          setTime,
          onStep: async (step) => {
            states.push(...(await step.x.floats()));
            predictions.push(...(await step.predictedData().floats()));
          },
        }),
      );
      const expected = (output: string): Promise<Float32Array> =>
        floats(golden, `${name}/${output}`);
      expect(relativeError(await out.floats(), await expected('samples'))).toBeLessThan(TOLERANCE);
      expect(relativeError(states, await expected('pred_x_t'))).toBeLessThan(TOLERANCE);
      if (name === 'euler') {
        expect(relativeError(predictions, await expected('pred_x_0'))).toBeLessThan(TOLERANCE);
      }
      expect(counter.calls).toBe(evaluations);
      out.dispose();
      time.dispose();
    }
    expect(recording.memory().storages).toBe(before);
  });

  test('are kept apart by the condition whose turn it is, and freed on abort', async () => {
    using start = recording.tensor(await noise.floats(), noise.shape);
    using one = recording.tensor(await condition.floats(), condition.shape);
    using two = mul(one, 2);
    const { network, setTime, time } = toy();
    const run = async (extra: object): Promise<Float32Array> => {
      using out = await sampleFlow(sampler('FlowEulerSampler', { steps: 9 }), network, start, {
        conditions: [one, two],
        setTime,
        ...extra,
      });
      return out.floats();
    };
    const before = recording.memory().storages;
    const recorded = await run({});
    using eager = await sampleFlow(
      sampler('FlowEulerSampler', { steps: 9 }),
      (x, now, cond: Tensor) => {
        setTime(now);
        return network(x, now, cond);
      },
      start,
      { conditions: [one, two] },
    );
    expect(relativeError(recorded, await eager.floats())).toBeLessThan(1e-6);
    eager.dispose();
    const controller = new AbortController();
    const onStep = ({ step }: SampleStep): void => {
      if (step === 7) controller.abort();
    };
    await expect(run({ onStep, signal: controller.signal })).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
    expect(recording.memory().storages).toBe(before);
    time.dispose();
  });
});

test('a call leaves no memory but its result', async () => {
  const before = device.memory().storages;
  using out = await sampleFlow(sampler('FlowEulerCfgSampler', { steps: 3 }), toyVelocity, noise, {
    conditions: [condition],
    negative,
  });
  expect(out.disposed).toBe(false);
  expect(device.memory().storages).toBe(before + 1);
});

test('abort stops with the reason and frees the state', async () => {
  const before = device.memory().storages;
  const controller = new AbortController();
  const seen: number[] = [];
  const onStep = ({ step }: SampleStep): void => {
    seen.push(step);
    if (step === 2) controller.abort();
  };
  const run = sampleFlow(sampler('FlowEulerSampler', { steps: 9 }), toyVelocity, noise, {
    conditions: [condition],
    onStep,
    signal: controller.signal,
  });
  await expect(run).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  expect(seen).toEqual([1, 2]);
  expect(device.memory().storages).toBe(before);
});

test('bad parameters meet one sentence', async () => {
  const request = { conditions: [condition], negative };
  const run = (params: Partial<FlowSamplerParams>, extra = {}): Promise<Tensor> =>
    sampleFlow(sampler('FlowEulerCfgSampler', params), toyVelocity, noise, {
      ...request,
      ...extra,
    });
  await expect(run({ steps: 0 })).rejects.toThrow(
    'timeGrid: steps must be an integer of at least 1, got 0.',
  );
  await expect(run({ rescaleT: -1 })).rejects.toThrow(InputError);
  await expect(run({ cfgStrength: NaN })).rejects.toThrow(
    'guidance: strength must be a finite number, got NaN.',
  );
  await expect(run({}, { negative: undefined })).rejects.toThrow(
    'FlowEulerCfgSampler: negative must be a condition, got none.',
  );
  await expect(run({}, { conditions: [] })).rejects.toThrow(InputError);
});
