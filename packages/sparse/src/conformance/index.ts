/** Conformance cases of the sparse ops, for `runConformance` and `describeBackend` of `@pergola/core/conformance`. */
import type { ConformanceCase } from '@pergola/core/conformance';
import { coordsCases } from './cases/coords.ts';
import { featureCases } from './cases/features.ts';
import { hashCases } from './cases/hash.ts';

/** Cases for every op of this package. */
export function sparseCases(): ConformanceCase[] {
  return [...hashCases(), ...coordsCases(), ...featureCases()];
}
