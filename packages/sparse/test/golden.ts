/** Golden values of the sparse cases, and the distance by which results are judged. */
import { readFile } from 'node:fs/promises';
import { bytesSource, openSafetensors, type Safetensors } from '@pergola/core';
import { testdataPath } from '../../../testdata/files.ts';

let file: Safetensors | undefined;

/** One stored tensor of `sparse.safetensors`. */
export async function golden(
  name: string,
): Promise<{ shape: number[]; data: Float32Array | Int32Array }> {
  if (file === undefined) {
    const path = testdataPath('golden/sparse.safetensors');
    file = await openSafetensors(bytesSource(await readFile(path)));
  }
  const { shape, data } = await file.read(name);
  return { shape: [...shape], data: data as Float32Array | Int32Array };
}

/** `||a - b|| / ||b||`. */
export function relativeL2(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}
