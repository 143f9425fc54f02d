/** What plans are made of: a program with its parameters, in versions for aligned and for arbitrary offsets. */
import type { Binding } from '@pergola/core';
import type { GpuBuffer } from '../buffers.ts';
import type { Program, WebGpuContext } from '../context.ts';

/** A program, its packed parameters, and how many elements or groups it runs over. */
export interface Launch {
  readonly program: Program;
  readonly params: Uint32Array;
  readonly count: number;
}

/** Elements that one access of a program moves. */
export type Lanes = 1 | 4;

/** Enqueues a planned launch. */
export function enqueue(
  context: WebGpuContext,
  { program, params, count }: Launch,
  bindings: readonly Binding<GpuBuffer>[],
): void {
  context.launch(program, bindings, params, count);
}

/** Launches by the choices that they were compiled for, each made when it is first needed. */
export class LaunchVersions {
  readonly #make: (choices: readonly boolean[]) => Launch;
  readonly #made: Map<number, Launch> = new Map();

  constructor(make: (choices: readonly boolean[]) => Launch) {
    this.#make = make;
  }

  get(choices: readonly boolean[]): Launch {
    const key = choices.reduce((bits, bit, i) => bits + (bit ? 2 ** i : 0), 0);
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = this.#make(choices);
    this.#made.set(key, made);
    return made;
  }
}

/**
 * One plan in two versions: four elements per access where layouts and offsets permit it, else one.
 *
 * Offsets are known only when a plan runs, so each version is compiled when it is first needed.
 */
export class LaneVersions {
  readonly #make: (lanes: Lanes) => Launch;
  readonly #wideFits: boolean;
  #wide: Launch | undefined;
  #narrow: Launch | undefined;

  /** @param wideFits whether shapes and strides permit four lanes. */
  constructor(wideFits: boolean, make: (lanes: Lanes) => Launch) {
    this.#wideFits = wideFits;
    this.#make = make;
    if (wideFits) this.#wide = make(4);
    else this.#narrow = make(1);
  }

  /** Enqueues the version that fits the offsets. */
  enqueue(context: WebGpuContext, bindings: readonly Binding<GpuBuffer>[]): void {
    enqueue(context, this.#pick(bindings), bindings);
  }

  #pick(bindings: readonly Binding<GpuBuffer>[]): Launch {
    if (this.#wideFits) {
      this.#wide ??= this.#make(4);
      const specs = this.#wide.program.spec.bindings;
      if (bindings.every(({ offset }, i) => offset % (specs[i]!.lanes ?? 1) === 0)) {
        return this.#wide;
      }
    }
    this.#narrow ??= this.#make(1);
    return this.#narrow;
  }
}
