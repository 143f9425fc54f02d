/**
 * CPU kernels against the reference kernels of their ops, at sizes that the conformance suite leaves out because they are
 * large: many chunks, several threads. (That suite covers the small and the special ones.)
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as core from '@pergola/core';
import { createCpuDevice, type Device, type DType, type Tensor } from '@pergola/core';
import { expectClose, expectSameBits, randomFloats, runsInKernel } from './cpu-support.ts';
import { createReferenceDevice } from './reference-devices.ts';

let device: Device;
let single: Device;
let reference: Device;
beforeAll(async () => {
  device = await createCpuDevice({ threads: 2 });
  single = await createCpuDevice({ threads: 1 });
  reference = await createReferenceDevice();
});
afterAll(() => {
  for (const each of [device, single, reference]) each.dispose();
});

/** A random float tensor; the same on every device. */
function floats(on: Device, shape: number[], seed = 1, dtype: DType = 'f32'): Tensor {
  return on.tensor(randomFloats(shape, seed), shape, dtype);
}

/** Builds inputs, then runs one op. */
type Case = (on: Device, run: (op: () => Tensor) => Tensor) => Tensor;

function unary(op: (x: Tensor) => Tensor, positive = false): Case {
  return (on, run) => {
    const x = floats(on, [37, 1013]);
    const input = positive ? core.abs(x) : x;
    return run(() => op(input));
  };
}

function binary(op: (a: Tensor, b: Tensor) => Tensor, a: number[], b: number[]): Case {
  return (on, run) => {
    const [x, y] = [floats(on, a, 1), floats(on, b, 2)];
    return run(() => op(x, y));
  };
}

function offsets(on: Device, values: number[]): Tensor {
  return on.tensor(values, [values.length], 'i32');
}

const CASES: Record<string, Case> = {
  abs: unary(core.abs),
  neg: unary(core.neg),
  square: unary(core.square),
  sqrt: unary(core.sqrt, true),
  rsqrt: unary(core.rsqrt, true),
  reciprocal: unary(core.reciprocal),
  floor: unary(core.floor),
  ceil: unary(core.ceil),
  round: unary(core.round),
  relu: unary(core.relu),
  exp: unary(core.exp),
  tanh: unary(core.tanh),
  sigmoid: unary(core.sigmoid),
  silu: unary(core.silu),
  erf: unary(core.erf),
  softplus: unary(core.softplus),
  gelu: unary((x) => core.gelu(x)),
  'gelu, tanh': unary((x) => core.gelu(x, { approximate: 'tanh' })),
  'gelu, quick': unary((x) => core.gelu(x, { approximate: 'quick' })),
  clamp: unary((x) => core.clamp(x, { min: -0.5, max: 1 })),
  'add, same shape': binary(core.add, [41, 1999], [41, 1999]),
  'sub, a row': binary(core.sub, [301, 257], [257]),
  'mul, a column': binary(core.mul, [301, 257], [301, 1]),
  'div, a column on the left': binary(core.div, [301, 1], [301, 257]),
  'minimum, outer': binary(core.minimum, [301, 1], [1, 257]),
  'maximum, middle': binary(core.maximum, [7, 101, 59], [7, 1, 59]),
  'add, few channels': binary(core.add, [40_001, 3], [3]),
  'add, strided': (on, run) => {
    const [a, b] = [floats(on, [203, 311], 1), floats(on, [311, 406], 2)];
    return run(() => core.add(a, b.transpose().slice(0, 0, 406, 2)));
  },
  'number - x': unary((x) => core.sub(2, x)),
  'x / number': unary((x) => core.div(x, 3)),
  layerNorm: (on, run) => {
    const [x, w, b] = [floats(on, [211, 131], 1), floats(on, [131], 2), floats(on, [131], 3)];
    return run(() => core.layerNorm(x, w, b));
  },
  rmsNorm: (on, run) => {
    const [x, w] = [floats(on, [211, 131], 1), floats(on, [131], 2)];
    return run(() => core.rmsNorm(x, w));
  },
  groupNorm: (on, run) => {
    const x = floats(on, [3, 12, 17, 19], 1);
    const [w, b] = [floats(on, [12], 2), floats(on, [12], 3)];
    return run(() => core.groupNorm(x, w, b, { groups: 4 }));
  },
  'qkNorm, strided': (on, run) => {
    const [x, gamma] = [floats(on, [301, 3, 4, 21], 1), floats(on, [4, 21], 2)];
    return run(() => core.qkNorm(x.select(1, 1), gamma));
  },
  layerNormModulate: (on, run) => {
    const x = floats(on, [401, 67], 1);
    const [shift, scale] = [floats(on, [4, 67], 2), floats(on, [4, 67], 3)];
    const at = offsets(on, [0, 100, 100, 399, 401]);
    return run(() => core.layerNormModulate(x, shift, scale, at, { activation: 'silu' }));
  },
  gatedResidual: (on, run) => {
    const [x, h, gate] = [
      floats(on, [401, 131], 1),
      floats(on, [401, 131], 2),
      floats(on, [3, 131], 3),
    ];
    const at = offsets(on, [0, 0, 250, 401]);
    return run(() => core.gatedResidual(x, h, gate, at));
  },
  softmax: (on, run) => {
    const x = core.mul(floats(on, [301, 203]), 20);
    return run(() => core.softmax(x));
  },
  'sum of all': unary((x) => core.sum(x)),
  'mean of rows': unary((x) => core.mean(x, { axes: [1] })),
  'max of columns': unary((x) => core.max(x, { axes: [0] })),
  'min of rows': unary((x) => core.min(x, { axes: [-1] })),
  'variance of columns': unary((x) => core.variance(x, { axes: [0] })),
  'sum of a middle axis': (on, run) => {
    const x = floats(on, [5, 301, 71]);
    return run(() => core.sum(x, { axes: [1], keepDims: true }));
  },
  'copy of a transpose': (on, run) => {
    const x = floats(on, [307, 501]);
    return run(() => x.transpose().toContiguous());
  },
  'copy of a permutation': (on, run) => {
    const x = floats(on, [5, 33, 17, 29]);
    return run(() => x.permute(0, 3, 1, 2).toContiguous());
  },
  'copy of every third column': (on, run) => {
    const x = floats(on, [103, 900]);
    return run(() => x.slice(1, 1, 900, 3).toContiguous());
  },
  'copy of an expansion': (on, run) => {
    const x = floats(on, [31, 1, 17]);
    return run(() => x.expand(31, 90, 17).toContiguous());
  },
  'concat along the last axis': (on, run) => {
    const [a, b] = [floats(on, [301, 5], 1), floats(on, [70, 301], 2)];
    return run(() => core.concat([a, b.transpose()], { axis: -1 }));
  },
  pad: (on, run) => {
    const x = floats(on, [31, 41, 27]);
    return run(() => core.pad(x, { before: [0, 2, 1], after: [3, 0, 4], value: 1.5 }));
  },
  gather: (on, run) => {
    const x = floats(on, [301, 57]);
    const index = on.tensor(
      Int32Array.from({ length: 2003 }, (_, i) => ((i * 37) % 303) - 1),
      [2003],
    );
    return run(() => core.gather(x, index));
  },
  'gather columns': (on, run) => {
    const x = floats(on, [201, 57]);
    const index = on.tensor(
      Int32Array.from({ length: 203 }, (_, i) => (i * 5) % 57),
      [203],
    );
    return run(() => core.gather(x, index, { axis: 1 }));
  },
  'pixelShuffle, channels first': (on, run) => {
    const x = floats(on, [2, 24, 5, 7, 6]);
    return run(() => core.pixelShuffle(x, { factor: 2 }));
  },
  'pixelShuffle, channels last': (on, run) => {
    const x = floats(on, [2, 15, 17, 27]);
    return run(() => core.pixelShuffle(x, { factor: 3, layout: 'channelsLast' }));
  },
  upsampleNearest: (on, run) => {
    const x = floats(on, [2, 3, 9, 7, 11]);
    return run(() => core.upsampleNearest(x, { factor: 3 }));
  },
};

describe.each(Object.entries(CASES))('%s', (_name, body) => {
  test('is what the reference says, with the same bits on any number of threads', async () => {
    const results = [];
    for (const on of [device, single]) {
      results.push(await on.run(() => body(on, (op) => runsInKernel(on, op)).floats()));
    }
    const expected = await reference.run(() => body(reference, (op) => op()).floats());
    expectClose(results[0]!, expected, 2e-6);
    expectSameBits(results[1]!, results[0]!);
  });
});

describe('conversions', () => {
  const every16 = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

  test.each(['f16', 'bf16'] as const)('every %s to f32', async (dtype) => {
    const on = (each: Device) => core.cast(each.tensor(every16, [65_536], dtype), 'f32').data();
    expectSameBits(await on(device), await on(reference));
  });

  test.each(['f16', 'bf16'] as const)('f32 of every magnitude to %s', async (dtype) => {
    // All exponents, with mantissas on and around the halfway points of both formats.
    const bits = Uint32Array.from({ length: 2 ** 18 }, (_, i) => {
      const low = [0, 1, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x1fff][i & 7]!;
      return (((i >> 3) << 17) | (low + ((i >> 4) & 1) * 0x2000)) >>> 0;
    });
    const values = new Float32Array(bits.buffer);
    const on = (each: Device) => core.cast(each.tensor(values, [values.length]), dtype).data();
    const [actual, expected] = [await on(device), await on(reference)];
    const nan = (pattern: number) => (pattern & 0x7fff) > (dtype === 'f16' ? 0x7c00 : 0x7f80);
    const differing = actual.findIndex(
      (pattern, i) => pattern !== expected[i] && !(nan(pattern) && nan(expected[i]!)),
    );
    expect(differing).toBe(-1);
  });

  test.each(['i32', 'u32', 'u8'] as const)('f32 to %s and back', async (dtype) => {
    const special = [NaN, Infinity, -Infinity, 3e9, -3e9, 255.9, 256, -0.9, 2147483520, 4294967040];
    const values = Float32Array.from([...special, ...randomFloats([20_001], 1)], (x, i) =>
      i < special.length ? x : x * 300,
    );
    const on = async (each: Device) => {
      const whole = core.cast(each.tensor(values, [values.length]), dtype);
      return [await whole.data(), await core.cast(whole, 'f32').data()];
    };
    const [actual, expected] = [await on(device), await on(reference)];
    expectSameBits(actual[0]!, expected[0]!);
    expectSameBits(actual[1]!, expected[1]!);
  });

  test('a strided copy of every element size', async () => {
    for (const dtype of ['u8', 'bool', 'f16', 'i32'] as const) {
      const values = Array.from({ length: 61 * 83 }, (_, i) => i % (dtype === 'bool' ? 2 : 200));
      const on = (each: Device) => {
        const x = each.tensor(values, [61, 83], dtype).transpose();
        return each === device ? runsInKernel(each, () => x.toContiguous()) : x.toContiguous();
      };
      expectSameBits(await on(device).data(), await on(reference).data());
    }
  });
});

test('half types run in the f32 kernels and round once', async () => {
  for (const dtype of ['f16', 'bf16'] as const) {
    const on = (each: Device) => {
      const [x, w] = [floats(each, [33, 70], 1, dtype), floats(each, [45, 70], 2, dtype)];
      const op = () => core.linear(x, w, undefined, { activation: 'silu' });
      return each === device ? runsInKernel(each, op) : op();
    };
    const [actual, expected] = [await on(device).floats(), await on(reference).floats()];
    expectClose(actual, expected, dtype === 'f16' ? 2e-3 : 1.6e-2);
  }
});

test('the functions hold their accuracy over their whole range', async () => {
  const count = 60_000;
  const x = Float32Array.from({ length: count }, (_, i) => (i / count - 0.5) * 210);
  const tensor = device.tensor(x, [count]);
  const bounds: [(t: Tensor) => Tensor, (v: number) => number][] = [
    [core.exp, Math.exp],
    [core.sigmoid, (v) => 1 / (1 + Math.exp(-v))],
    [core.tanh, Math.tanh],
    [core.softplus, (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))],
  ];
  for (const [op, exact] of bounds) {
    const actual = await op(tensor).floats();
    const relative = x.map((v, i) => {
      const want = exact(v);
      if (Math.fround(want) === actual[i]) return 0;
      // Below the normal numbers of f32 precision is lost by nature.
      if (Math.abs(want) < 2 ** -125) return Math.abs(actual[i]! - want) < 2 ** -125 ? 0 : 1;
      return Math.abs(actual[i]! - want) / Math.abs(want);
    });
    expect(Math.max(...relative.subarray(0, 30_000), ...relative.subarray(30_000))).toBeLessThan(
      3e-7,
    );
  }
});
