/** Conformance cases of the worked example. */
import {
  conformanceCase,
  ELEMENTWISE,
  floats,
  type ConformanceCase,
  type InputFill,
} from '@pergola/core/conformance';
import { leakyReluOp } from './leaky-relu.ts';

function one(name: string, x: InputFill, slope = 0.1): ConformanceCase {
  return conformanceCase(leakyReluOp, name, [x], { slope }, { tolerance: ELEMENTWISE });
}

export function leakyReluCases(): ConformanceCase[] {
  const finite = { kind: 'values', values: [0, -0, 1, -1, NaN, 100, -100] } as const;
  return [
    one('plain', floats([5, 7])),
    one('awkward values', floats([9, 5], finite)),
    one('negative slope', floats([5, 7]), -2),
    one('empty', floats([3, 0])),
    one('scalar', floats([])),
    one('257 elements', floats([257])),
    one('transposed', floats([13, 9], { kind: 'normal' }, 'transposed')),
    one('sliced', floats([8, 11], { kind: 'normal' }, 'sliced')),
  ];
}
