/** Parameter blocks: the 4-byte words that a kernel's TypeScript side hands to its CUDA side. */
import { DTYPES, type DType } from '@pergola/core';

/** Appends fields in the order of the CUDA struct. Every field is one 4-byte word, so there is no padding. */
export class ParamBlock {
  readonly #words: { readonly value: number; readonly float: boolean }[] = [];

  /** A signed or unsigned 32-bit integer. */
  int(...values: number[]): this {
    for (const value of values) this.#words.push({ value, float: false });
    return this;
  }

  float(...values: number[]): this {
    for (const value of values) this.#words.push({ value, float: true });
    return this;
  }

  bool(value: boolean): this {
    return this.int(value ? 1 : 0);
  }

  /** The dtype's code: its position in `DTYPES`, as in native/launcher.h. */
  dtype(dtype: DType): this {
    return this.int(DTYPES.indexOf(dtype));
  }

  /** `values` right-aligned in an array of `length` words, filled up with `fill` in front. */
  padded(values: readonly number[], length: number, fill: number): this {
    for (let i = values.length; i < length; i++) this.int(fill);
    return this.int(...values);
  }

  /** The finished block. */
  bytes(): Uint8Array {
    const out = new DataView(new ArrayBuffer(this.#words.length * 4));
    this.#words.forEach(({ value, float }, i) => {
      if (float) out.setFloat32(i * 4, value, true);
      else out.setInt32(i * 4, value | 0, true);
    });
    return new Uint8Array(out.buffer);
  }
}
