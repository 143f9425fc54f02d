/** A matrix product as its planner sees it, and what a strategy makes of it. */
import type { DType } from '@pergola/core';
import type { ProgramSpec } from '../wgsl/program.ts';
import type { Finish } from './epilogue.ts';
import type { Operand, OperandSource } from './operand.ts';

/** Products `left [rows, depth] x right [depth, columns]`, one for each batch element. */
export interface Product extends Finish {
  readonly label: string;
  readonly dtype: DType;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly batches: number;
  readonly left: OperandSource;
  readonly right: OperandSource;
}

/** What a strategy sees of its operands. */
export interface TemplateOperands {
  readonly left: Operand;
  readonly right: Operand;
}

/** The part of a program that a strategy supplies: a `run` that calls the operands and the epilogue. */
export interface Template extends Pick<
  ProgramSpec,
  'each' | 'workgroup' | 'body' | 'enables' | 'subgroupId'
> {
  readonly helpers: readonly string[];
  /** Elements or groups to run over. */
  readonly count: number;
}
