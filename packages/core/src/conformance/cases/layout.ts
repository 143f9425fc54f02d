/** Cases of ops that move elements. */
import { copyOp } from '../../ops/copy.ts';
import { conformanceCase, EXACT, floats, integers, viewed, type ConformanceCase } from '../case.ts';

const exact = { tolerance: EXACT };

/** Cases of the family `layout`. */
export function layoutCases(): ConformanceCase[] {
  const plain = floats([5, 7, 3]);
  return [
    conformanceCase(copyOp, 'contiguous', [plain], {}, exact),
    conformanceCase(copyOp, 'transposed', [viewed(plain, 'transposed')], {}, exact),
    conformanceCase(copyOp, 'sliced', [viewed(floats([13, 31]), 'sliced')], {}, exact),
    conformanceCase(copyOp, 'every second element', [viewed(floats([33]), 'sliced')], {}, exact),
    conformanceCase(copyOp, 'unbound', [viewed(floats([17, 2, 5]), 'unbound')], {}, exact),
    conformanceCase(copyOp, 'expanded', [viewed(floats([6, 1, 11]), 'expanded')], {}, exact),
    conformanceCase(copyOp, 'scalar', [floats([])], {}, exact),
    conformanceCase(copyOp, 'empty', [floats([3, 0, 2])], {}, exact),
    conformanceCase(copyOp, 'large', [viewed(floats([129, 257]), 'transposed')], {}, exact),
    conformanceCase(
      copyOp,
      'special values',
      [floats([9, 8], { kind: 'special' }, 'transposed')],
      {},
      exact,
    ),
    ...(['i32', 'u32', 'u8'] as const).map((dtype) =>
      conformanceCase(
        copyOp,
        `transposed ${dtype}`,
        [{ shape: [7, 9], dtype, fill: { kind: 'special' }, view: 'transposed' }],
        {},
      ),
    ),
    conformanceCase(copyOp, 'sliced bool', [integers([7, 5], 0, 1, 'bool', 'sliced')], {}),
  ];
}
