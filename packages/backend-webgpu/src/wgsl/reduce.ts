/** Reduction of one value per invocation over a workgroup, by subgroup shuffles where their size is fixed. */
import type { Capabilities } from '../capabilities.ts';

/** How a program reduces. */
export interface GroupReduction {
  /** Extensions that the program must enable. */
  readonly enables: readonly string[];
  /** WGSL of `fn <name>(lane: u32, value: T) -> T`; every invocation gets the result. */
  readonly code: string;
}

/** What is reduced. */
export interface ReductionShape {
  /** Name of the function; distinct within a program. */
  readonly name: string;
  /** WGSL type of a value. */
  readonly type: string;
  /** Expression that combines `a` and `b`; associative and commutative up to rounding. */
  readonly combine: string;
  /** Invocations of the workgroup: a power of two. */
  readonly workgroup: number;
  /** Shuffles need a scalar or vector of numbers. */
  readonly shuffles?: boolean;
}

function shuffled({ name, type, combine, workgroup }: ReductionShape, width: number): string {
  const steps: string[] = [];
  for (let distance = 1; distance < Math.min(width, workgroup); distance *= 2) {
    steps.push(`v = ${name}_pair(v, subgroupShuffleXor(v, ${distance}u));`);
  }
  const parts = Math.max(1, workgroup / width);
  return `
var<workgroup> ${name}_parts: array<${type}, ${parts}>;
fn ${name}_pair(a: ${type}, b: ${type}) -> ${type} { return ${combine}; }
fn ${name}(lane: u32, value: ${type}) -> ${type} {
  var v = value;
  ${steps.join('\n  ')}
  if (lane % ${width}u == 0u) { ${name}_parts[lane / ${width}u] = v; }
  workgroupBarrier();
  var total = ${name}_parts[0];
  for (var i = 1u; i < ${parts}u; i++) { total = ${name}_pair(total, ${name}_parts[i]); }
  // The parts may be written again by the next reduction.
  workgroupBarrier();
  return total;
}
`;
}

function halved({ name, type, combine, workgroup }: ReductionShape): string {
  return `
var<workgroup> ${name}_parts: array<${type}, ${workgroup}>;
fn ${name}_pair(a: ${type}, b: ${type}) -> ${type} { return ${combine}; }
fn ${name}(lane: u32, value: ${type}) -> ${type} {
  ${name}_parts[lane] = value;
  for (var half = ${workgroup / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { ${name}_parts[lane] = ${name}_pair(${name}_parts[lane], ${name}_parts[lane + half]); }
  }
  workgroupBarrier();
  let total = ${name}_parts[0];
  // The parts may be written again by the next reduction.
  workgroupBarrier();
  return total;
}
`;
}

/** The fastest reduction that the device supports for this workgroup. The order of combination is fixed. */
export function groupReduction(capabilities: Capabilities, shape: ReductionShape): GroupReduction {
  if (shape.workgroup === 1) {
    const { name, type } = shape;
    return {
      enables: [],
      code: `fn ${name}(lane: u32, value: ${type}) -> ${type} { return value; }`,
    };
  }
  const { subgroups, subgroupMinSize: width, subgroupMaxSize } = capabilities;
  const fixed = subgroups && width === subgroupMaxSize && shape.workgroup % width === 0;
  if (fixed && shape.shuffles !== false) {
    return { enables: ['subgroups'], code: shuffled(shape, width) };
  }
  return { enables: [], code: halved(shape) };
}
