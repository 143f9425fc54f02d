/** One row of the GPU benchmark. */
import type { Device } from '@pergola/core';
import type { FigureName } from './figures.ts';

/** Work that is set up and can be run any number of times. */
export interface PreparedCase {
  /** Enqueues the work; may wait for the device where the work itself does. Its tensors are freed by the caller's scope. */
  run(): unknown;
  /** Calls per sample. Default 1. */
  readonly repeats?: number;
  /** So slow that one warm-up and one sample must do. */
  readonly once?: boolean;
  /** Floating-point operations of a call that the result needs, a multiply-add counted as two. */
  readonly flops?: number;
  dispose(): void;
}

/** A row before anything is allocated. */
export interface GpuCase {
  readonly figure: FigureName;
  /** Sizes and way of running, for the table. */
  readonly detail: string;
  prepare(device: Device): Promise<PreparedCase>;
}
