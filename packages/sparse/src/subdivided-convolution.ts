/** Convolution right after a subdivision, computed on the parents. */
import { add, cast, concat, shapeMismatch, type Tensor } from '@pergola/core';
import { gatherConv3d } from './ops/conv.ts';
import { checkRows } from './ops/checks.ts';
import type { KernelMap } from './structure-parts.ts';

const SIZE = 3;
const CHILDREN = 8;
// Parents along an axis that the three taps of a child meet.
const MET = 2;

/**
 * The half of a kernel's axis for the lower or the upper child: the sums of the taps that meet the same parent. The
 * lower child sees the parent before its own by its first tap, the upper one the parent behind by its last.
 */
function tapsOnParents(kernel: Tensor, axis: number, upper: boolean): Tensor {
  const [first, middle, last] = [0, 1, 2].map((tap) => kernel.slice(axis, tap, tap + 1)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const parts = upper ? [add(first, middle), last] : [first, add(middle, last)];
  return concat(parts, { axis });
}

function halves(kernel: Tensor, axis: number): Tensor[] {
  return [false, true].map((upper) => tapsOnParents(kernel, axis, upper));
}

/** `[Cout, 2, 2, 2, Cin]` of every child in the order of `subdivideFeats`, in the dtype of the kernel. */
function childKernels(kernel: Tensor): Tensor[] {
  const wide = cast(kernel, 'f32');
  return halves(wide, 1)
    .flatMap((part) => halves(part, 2))
    .flatMap((part) => halves(part, 3))
    .map((part) => cast(part, kernel.dtype));
}

/** The neighbours of every parent that a child's kernel meets, i32 `[N, 8]`. */
function parentsOfChild(map: Tensor, child: number): Tensor {
  const cube = map.reshape(map.shape[0]!, SIZE, SIZE, SIZE);
  return [1, 2, 3]
    .reduce((part, axis) => {
      const start = (child >> (3 - axis)) & 1;
      return part.slice(axis, start, start + MET);
    }, cube)
    .reshape(map.shape[0]!, MET ** 3);
}

/**
 * `submConv3d(subdivideFeats(x), weight, bias, mapOfChildren)` without the subdivided features: children of one parent
 * are equal, so a child's 27 taps meet only eight different rows, and the weights of taps on the same one are added
 * first. Equal in exact arithmetic; a third of the operations.
 *
 * @param x `[N, Cin]` float on the parents, all of whose children exist.
 * @param weight `[Cout, 3, 3, 3, Cin]` of the dtype of x, kernel axes x, y, z.
 * @param bias `[Cout]` of the dtype of x.
 * @param parents kernel map of size 3 of the parents.
 * @returns `[8 N, Cout]`, the children of a parent in consecutive rows.
 * @throws ShapeError, DTypeError.
 */
export function subdividedConv3d(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  parents: KernelMap,
): Tensor {
  const cube = weight.rank === 5 && weight.shape.slice(1, 4).every((extent) => extent === SIZE);
  if (!cube || parents.kernelSize !== SIZE) {
    const expected = `[Cout, 3, 3, 3, Cin] with a kernel map of size 3 (got one of size ${parents.kernelSize})`;
    throw shapeMismatch('subdividedConv3d', 'weight', expected, weight.shape);
  }
  checkRows('subdividedConv3d', 'x', x, parents.inputRows);
  return x.device.run(() => {
    const children = childKernels(weight).map((kernel, child) => {
      using map = parentsOfChild(parents.map, child);
      return gatherConv3d(x, kernel, bias, map).unsqueeze(1);
    });
    return concat(children, { axis: 1 }).reshape(x.shape[0]! * CHILDREN, weight.shape[0]!);
  });
}
