/** What the tests of CPU kernels share. */
import { expect } from 'vitest';
import type { Device, StorageArray, Tensor } from '@pergola/core';

/** Reproducible floats of about unit variance. */
export function randomFloats(shape: readonly number[], seed: number): Float32Array {
  const out = new Float32Array(shape.reduce((product, extent) => product * extent, 1));
  let state = seed >>> 0;
  for (let i = 0; i < out.length; i++) {
    state = (state + 0x9e3779b9) >>> 0;
    let x = Math.imul(state ^ (state >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    out[i] = (((x ^ (x >>> 16)) >>> 0) / 2 ** 31 - 1) * 1.7320508;
  }
  return out;
}

/** Runs one op and requires that a kernel, not the reference, computed it. */
export function runsInKernel(device: Device, body: () => Tensor): Tensor {
  const paths: string[] = [];
  device.onExecute = ({ op, path }) => paths.push(`${op}: ${path}`);
  try {
    return body();
  } finally {
    device.onExecute = undefined;
    expect(paths.filter((path) => !path.endsWith('kernel'))).toEqual([]);
    expect(paths.length).toBeGreaterThan(0);
  }
}

/** Requires `|actual - expected| <= tolerance * max(1, |expected|)` everywhere; NaN and infinities must coincide. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < actual.length; i++) {
    const [got, want] = [actual[i]!, expected[i]!];
    if (Object.is(got, want) || got === want) continue;
    const error = Math.abs(got - want);
    if (!(error <= tolerance * Math.max(1, Math.abs(want)))) {
      expect.fail(`element ${i} is ${got}, expected ${want} within ${tolerance}`);
    }
  }
}

/** Requires equal elements, NaN and the sign of zero included. (`toEqual` takes seconds for large arrays.) */
export function expectSameBits(actual: StorageArray, expected: StorageArray): void {
  expect(actual.constructor).toBe(expected.constructor);
  expect(actual.length).toBe(expected.length);
  const different = actual.findIndex((value, i) => !Object.is(value, expected[i]));
  if (different >= 0) {
    expect.fail(`element ${different} is ${actual[different]}, expected ${expected[different]}`);
  }
}
