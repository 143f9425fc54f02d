/** Decoder outputs on the host, one batch element at a time. */
import type { SparseTensor } from '@pergola/sparse';

/** Rows of one batch element. */
export interface DecodedRows {
  /** i32 `[N, 4]`: batch, x, y, z. */
  readonly coords: Int32Array;
  /** f32 `[N, C]`. */
  readonly features: Float32Array;
}

/** Reads a decoder's output and splits it by batch element. Waits for the device. */
export async function readElements(x: SparseTensor): Promise<DecodedRows[]> {
  const coords = (await x.coords.values()) as Int32Array;
  const features = await x.feats.floats();
  const channels = x.feats.shape[1]!;
  let start = 0;
  return x.structure.lengths.map((length) => {
    const [from, to] = [start, start + length];
    start = to;
    return {
      coords: coords.subarray(4 * from, 4 * to),
      features: features.subarray(channels * from, channels * to),
    };
  });
}
