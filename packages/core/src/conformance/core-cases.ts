/** Every conformance case of the ops of this package. */
import type { ConformanceCase } from './case.ts';
import { attentionCases } from './cases/attention.ts';
import { binaryOpCases } from './cases/binary.ts';
import { convCases } from './cases/conv.ts';
import { castCases, createCases } from './cases/create.ts';
import { layoutCases } from './cases/layout.ts';
import { matrixCases } from './cases/matmul.ts';
import { normCases } from './cases/norm.ts';
import { reduceCases } from './cases/reduce.ts';
import { resampleCases } from './cases/resample.ts';
import { rowCases } from './cases/rows.ts';
import { sortCases } from './cases/sort.ts';
import { unaryCases } from './cases/unary.ts';

/** The cases of `coreOps()`, family by family; the first case of each op is a plain call. */
export function coreCases(): ConformanceCase[] {
  return [
    ...createCases(),
    ...layoutCases(),
    ...castCases(),
    ...unaryCases(),
    ...binaryOpCases(),
    ...reduceCases(),
    ...matrixCases(),
    ...normCases(),
    ...attentionCases(),
    ...convCases(),
    ...resampleCases(),
    ...rowCases(),
    ...sortCases(),
  ];
}
