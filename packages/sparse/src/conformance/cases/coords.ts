/** Cases of ops that compute with coordinates row by row. */
import { conformanceCase, indices, viewed, type ConformanceCase } from '@pergola/core/conformance';
import {
  convOutputCoordsOp,
  inversePermutationOp,
  subdivideCoordsOp,
  transformCoordsOp,
  type ConvOutputCoordsAttrs,
  type TransformCoordsAttrs,
} from '../../ops/coords.ts';
import { CURVE_ORDERS, curveCodesOp } from '../../ops/curves.ts';
import { batchOffsetsOp, inspectCoordsOp } from '../../ops/inspect.ts';
import {
  coordsInput,
  corners,
  cube,
  few,
  repeated,
  scattered,
  shells,
  tableInput,
  type Voxel,
} from '../voxel-sets.ts';

function transformCase(
  name: string,
  voxels: Voxel[],
  attrs: Partial<TransformCoordsAttrs>,
): ConformanceCase {
  return conformanceCase(transformCoordsOp, name, [coordsInput(voxels)], {
    batchShift: 0,
    shift: [0, 0, 0],
    divisor: [1, 1, 1],
    ...attrs,
  });
}

function transformCases(): ConformanceCase[] {
  return [
    transformCase('halved', shells(), { divisor: [2, 2, 2] }),
    transformCase('shifted windows', shells(), { shift: [4, 4, 4], divisor: [8, 8, 8] }),
    transformCase('other on each axis', scattered(), { shift: [-5, 0, 9], divisor: [3, 7, 1] }),
    transformCase('batch moved', shells(), { batchShift: 5 }),
    transformCase('batch moved back', scattered(), { batchShift: -2 }),
    transformCase('corners of the range', corners().slice(64, 192), {
      shift: [-1, 1, 0],
      divisor: [5, 3, 2],
    }),
    transformCase('one voxel', few(1), { divisor: [2, 2, 2] }),
    transformCase('nothing', [], { divisor: [2, 2, 2] }),
  ];
}

function outputCase(
  name: string,
  voxels: Voxel[],
  attrs: Partial<ConvOutputCoordsAttrs> & { kernelSize: number; stride: number },
): ConformanceCase {
  return conformanceCase(convOutputCoordsOp, name, [coordsInput(voxels)], {
    padding: 0,
    dilation: 1,
    outputShape: null,
    ...attrs,
  });
}

function outputCases(): ConformanceCase[] {
  return [
    outputCase('2 taps, stride 2', shells(), { kernelSize: 2, stride: 2 }),
    outputCase('3 taps, stride 2', shells(), { kernelSize: 3, stride: 2, padding: 1 }),
    outputCase('bounded', cube(), { kernelSize: 3, stride: 2, padding: 1, outputShape: [4, 3, 2] }),
    outputCase('dilated', few(50), { kernelSize: 3, stride: 3, padding: 2, dilation: 2 }),
    outputCase('taps that skip inputs', few(50), { kernelSize: 2, stride: 3 }),
    outputCase('stride 1', few(50), {
      kernelSize: 3,
      stride: 1,
      padding: 1,
      outputShape: [3, 3, 3],
    }),
    outputCase('nothing', [], { kernelSize: 2, stride: 2 }),
  ];
}

function curveCases(): ConformanceCase[] {
  const cases = CURVE_ORDERS.map((order) =>
    conformanceCase(curveCodesOp, order, [coordsInput(cube())], {
      order,
      bits: 10,
      shift: [3, 500, 1000],
    }),
  );
  return [
    ...cases,
    conformanceCase(curveCodesOp, 'few bits', [coordsInput(shells())], {
      order: 'hilbert',
      bits: 3,
      shift: [0, 0, 0],
    }),
    conformanceCase(curveCodesOp, 'one bit', [coordsInput(shells())], {
      order: 'z',
      bits: 1,
      shift: [0, 0, 0],
    }),
    conformanceCase(curveCodesOp, 'nothing', [coordsInput([])], {
      order: 'z',
      bits: 10,
      shift: [0, 0, 0],
    }),
  ];
}

function inspectCase(name: string, voxels: Voxel[]): ConformanceCase {
  return conformanceCase(inspectCoordsOp, name, [coordsInput(voxels), tableInput(voxels)], {});
}

function inspectCases(): ConformanceCase[] {
  return [
    inspectCase('shells', shells()),
    inspectCase('repeated and unsorted', repeated()),
    inspectCase('negative batch', corners()),
    inspectCase('out of range', [...few(9), [0, 0, 32768, 0], [0, 0, 0, -32769], [1, 40000, 0, 0]]),
    inspectCase('nothing', []),
    inspectCase('one voxel', [[7, -3, 4, 5]]),
  ];
}

function offsetCase(name: string, voxels: Voxel[], batchSize: number): ConformanceCase {
  return conformanceCase(batchOffsetsOp, name, [coordsInput(voxels)], { batchSize });
}

function offsetCases(): ConformanceCase[] {
  return [
    offsetCase('shells', shells(), 2),
    offsetCase('empty elements', scattered(), 5),
    offsetCase('fewer elements than batches', scattered(), 1),
    offsetCase('nothing', [], 3),
    offsetCase('no elements', [], 0),
    offsetCase('one element', few(129), 1),
  ];
}

function permutationCase(name: string, order: number[]): ConformanceCase {
  return conformanceCase(inversePermutationOp, name, [indices([order.length], order)], {});
}

function permutationCases(): ConformanceCase[] {
  const strided = Array.from({ length: 257 }, (_, i) => (i * 101) % 257);
  return [
    permutationCase('257 rows', strided),
    permutationCase('one row', [0]),
    permutationCase('nothing', []),
    conformanceCase(
      inversePermutationOp,
      'sliced',
      [viewed(indices([257], strided), 'sliced')],
      {},
    ),
  ];
}

/** Cases of the family `coords`. */
export function coordsCases(): ConformanceCase[] {
  return [
    ...transformCases(),
    conformanceCase(subdivideCoordsOp, 'shells', [coordsInput(shells())], {}),
    conformanceCase(subdivideCoordsOp, 'one voxel', [coordsInput(few(1))], {}),
    conformanceCase(subdivideCoordsOp, 'nothing', [coordsInput([])], {}),
    ...outputCases(),
    ...curveCases(),
    ...inspectCases(),
    ...offsetCases(),
    ...permutationCases(),
  ];
}
