/** Random numbers that equal those of PyTorch's CPU generator, so that a seed means the same noise in both. */
import { InputError } from './errors.ts';
import { checkShape, sizeOf, type Shape } from './shape.ts';

const STATE_SIZE = 624;
const SHIFT = 397;
/** Below this many elements PyTorch draws normals one at a time, in double precision. */
const BLOCK = 16;
const TWO_PI: number = Math.fround(2 * Math.PI);

/**
 * MT19937 behind `rand` and `randn`, as `torch.manual_seed(seed)`, `torch.rand` and `torch.randn` (f32, CPU) draw.
 *
 * Uniform numbers are exact; normal ones agree to a few units in the last place, since PyTorch's vectorised logarithm
 * and sine differ between processors.
 *
 * @see Matsumoto and Nishimura, Mersenne Twister, ACM TOMACS 8(1), 1998
 */
export class TorchGenerator {
  readonly #state: Uint32Array = new Uint32Array(STATE_SIZE);
  #position: number = STATE_SIZE;
  /** Second normal of the last pair of the one-at-a-time path. */
  #spare: number | undefined;

  /**
   * @param seed an integer from 0 to 2^53 - 1, of which the low 32 bits count (as in PyTorch).
   * @throws InputError otherwise.
   */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new InputError(
        `TorchGenerator: seed must be an integer from 0 to ${Number.MAX_SAFE_INTEGER}, got ${seed}.`,
      );
    }
    const state = this.#state;
    state[0] = seed % 2 ** 32;
    for (let i = 1; i < STATE_SIZE; i++) {
      const previous = state[i - 1]!;
      // Knuth's multiplier for linear congruential seeding.
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /** Refills the state: each word from itself, its successor and the word 397 places on. */
  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_SIZE; i++) {
      const next = state[(i + 1) % STATE_SIZE]!;
      const joined = (state[i]! & 0x80000000) | (next & 0x7fffffff);
      const feedback = next & 1 ? 0x9908b0df : 0;
      state[i] = state[(i + SHIFT) % STATE_SIZE]! ^ (joined >>> 1) ^ feedback;
    }
    this.#position = 0;
  }

  /** The next 32 random bits, unsigned. */
  nextUint32(): number {
    if (this.#position === STATE_SIZE) this.#twist();
    let bits = this.#state[this.#position++]!;
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  }

  /** Uniform in [0, 1) with 24 bits. */
  #uniform24(): number {
    return (this.nextUint32() & 0xffffff) * 2 ** -24;
  }

  /** Uniform in [0, 1) with 53 bits: the low 53 of two words, high word first. */
  #uniform53(): number {
    const high = this.nextUint32() & 0x1fffff;
    return (high * 2 ** 32 + this.nextUint32()) * 2 ** -53;
  }

  /** One normal number in double precision (Box and Muller); each pair is drawn at once and its second half kept. */
  #normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const angle = 2 * Math.PI * this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#uniform53()));
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Turns the 16 uniforms from `start` into normals, by pairs (j, j + 8), rounding to f32 where PyTorch does. */
  #normalBlock(out: Float32Array, start: number): void {
    for (let j = 0; j < BLOCK / 2; j++) {
      const radius = Math.fround(Math.sqrt(-2 * Math.fround(Math.log(1 - out[start + j]!))));
      const angle = Math.fround(TWO_PI * out[start + j + BLOCK / 2]!);
      out[start + j] = radius * Math.fround(Math.cos(angle));
      out[start + j + BLOCK / 2] = radius * Math.fround(Math.sin(angle));
    }
  }

  #fillUniform(out: Float32Array, start: number): void {
    for (let i = start; i < out.length; i++) out[i] = this.#uniform24();
  }

  /**
   * Uniform numbers in [0, 1), as `torch.rand(shape)`.
   *
   * @throws ShapeError when the shape is malformed.
   */
  rand(shape: Shape): Float32Array<ArrayBuffer> {
    checkShape('rand', shape);
    const out = new Float32Array(sizeOf(shape));
    this.#fillUniform(out, 0);
    return out;
  }

  /**
   * Normal numbers with mean 0 and variance 1, as `torch.randn(shape)`.
   *
   * @throws ShapeError when the shape is malformed.
   */
  randn(shape: Shape): Float32Array<ArrayBuffer> {
    checkShape('randn', shape);
    const out = new Float32Array(sizeOf(shape));
    if (out.length < BLOCK) {
      for (let i = 0; i < out.length; i++) out[i] = this.#normal();
      return out;
    }
    // All uniforms are drawn first; a last partial block is drawn again as a whole, over finished numbers.
    this.#fillUniform(out, 0);
    for (let start = 0; start + BLOCK <= out.length; start += BLOCK) this.#normalBlock(out, start);
    if (out.length % BLOCK !== 0) {
      this.#fillUniform(out, out.length - BLOCK);
      this.#normalBlock(out, out.length - BLOCK);
    }
    return out;
  }
}
