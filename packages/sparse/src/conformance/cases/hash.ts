/** Cases of the hash family: tables, look-ups, neighbour maps, distinct coordinates. */
import { conformanceCase, indices, viewed, type ConformanceCase } from '@pergola/core/conformance';
import { buildHashOp, lookupHashOp } from '../../ops/hash.ts';
import { invertNeighborMapOp, neighborMapOp, type NeighborMapAttrs } from '../../ops/neighbors.ts';
import { uniqueCoordsOp } from '../../ops/unique.ts';
import {
  coordsInput,
  corners,
  cube,
  few,
  neighborsOf,
  repeated,
  scattered,
  shells,
  tableInput,
  type Voxel,
} from '../voxel-sets.ts';

const SETS: readonly (readonly [name: string, voxels: () => Voxel[]])[] = [
  ['shells', shells],
  ['cube', cube],
  ['scattered', scattered],
  ['corners of the range', corners],
  ['nothing', () => []],
  ['one voxel', () => few(1)],
  // The table doubles from 8 to 9 rows.
  ['8 voxels', () => few(8)],
  ['9 voxels', () => few(9)],
  ['257 voxels', () => few(257)],
];

// Rows of equal coordinates leave the layout of a table open, so buildHash has no case with them.
function buildCases(): ConformanceCase[] {
  return [
    ...SETS.map(([name, voxels]) =>
      conformanceCase(buildHashOp, name, [coordsInput(voxels())], {}),
    ),
    conformanceCase(buildHashOp, 'sliced', [viewed(coordsInput(shells()), 'sliced')], {}),
  ];
}

function lookupCase(name: string, voxels: Voxel[], queries: Voxel[]): ConformanceCase {
  const inputs = [tableInput(voxels), coordsInput(voxels), coordsInput(queries)];
  return conformanceCase(lookupHashOp, name, inputs, {});
}

function lookupCases(): ConformanceCase[] {
  const shifted = shells().map(([b, x, y, z]): Voxel => [b, x + 1, y, z - 1]);
  const outside = corners().map(([b, x, y, z]): Voxel => [b, x + 65536, y - 65536, z + 65536]);
  return [
    lookupCase('hits and misses', shells(), [...shifted, ...shells().reverse()]),
    ...SETS.map(([name, voxels]) => lookupCase(name, voxels(), voxels())),
    lookupCase('outside the range', corners(), outside),
    lookupCase('the first of equal rows', repeated(), repeated()),
    lookupCase('in an empty table', [], few(5)),
  ];
}

function mapCase(
  name: string,
  voxels: Voxel[],
  attrs: Partial<NeighborMapAttrs> & { kernelSize: number },
  queries: Voxel[] = voxels,
): ConformanceCase {
  const { kernelSize, stride = 1, dilation = 1 } = attrs;
  const padding = attrs.padding ?? (dilation * (kernelSize - 1)) / 2;
  const inputs = [coordsInput(queries), coordsInput(voxels), tableInput(voxels)];
  return conformanceCase(neighborMapOp, name, inputs, { kernelSize, stride, padding, dilation });
}

function mapCases(): ConformanceCase[] {
  const coarse = box5();
  return [
    mapCase('shells', shells(), { kernelSize: 3 }),
    mapCase('cube', cube(), { kernelSize: 3 }),
    mapCase('dilated', shells(), { kernelSize: 3, dilation: 2 }),
    mapCase('5 taps', few(130), { kernelSize: 5 }),
    mapCase('1 tap', few(130), { kernelSize: 1 }),
    mapCase('corners of the range', corners(), { kernelSize: 3 }),
    mapCase('scattered', scattered(), { kernelSize: 3 }),
    mapCase('one voxel', few(1), { kernelSize: 3 }),
    mapCase('nothing', [], { kernelSize: 3 }),
    mapCase('queries in an empty table', [], { kernelSize: 3 }, few(7)),
    mapCase('other queries', shells(), { kernelSize: 3 }, cube()),
    mapCase('strided, 2 taps', shells(), { kernelSize: 2, stride: 2, padding: 0 }, coarse),
    mapCase('strided, 3 taps', shells(), { kernelSize: 3, stride: 2, padding: 1 }, coarse),
    mapCase(
      'strided and dilated',
      shells(),
      { kernelSize: 3, stride: 3, padding: 2, dilation: 2 },
      coarse,
    ),
  ];
}

/** Output voxels round the origin for strided maps. */
function box5(): Voxel[] {
  return cube().map(([, x, y, z], i): Voxel => [i % 2, x - 3, y - 3, z - 3]);
}

function inverted(name: string, voxels: Voxel[], kernelSize: number): ConformanceCase {
  const map = indices([voxels.length, kernelSize ** 3], neighborsOf(voxels, kernelSize));
  return conformanceCase(invertNeighborMapOp, name, [map], { rows: voxels.length });
}

function invertCases(): ConformanceCase[] {
  return [
    inverted('shells', shells(), 3),
    inverted('cube', cube(), 3),
    inverted('1 tap', few(70), 1),
    inverted('nothing', [], 3),
    conformanceCase(invertNeighborMapOp, 'all absent', [indices([5, 8], [-1])], { rows: 9 }),
    conformanceCase(invertNeighborMapOp, 'outside the rows', [indices([1, 4], [4, 3, -7, 99])], {
      rows: 4,
    }),
  ];
}

function uniqueCases(): ConformanceCase[] {
  const equal = Array.from({ length: 65 }, (): Voxel => [3, -1, 5, 7]);
  const sets = [['repeated', repeated] as const, ...SETS, ['all equal', () => equal] as const];
  return [
    ...sets.map(([name, voxels]) =>
      conformanceCase(uniqueCoordsOp, name, [coordsInput(voxels())], {}),
    ),
    conformanceCase(
      uniqueCoordsOp,
      'every bit',
      [{ shape: [129, 4], dtype: 'i32', fill: { kind: 'special' } }],
      {},
    ),
    conformanceCase(uniqueCoordsOp, 'sliced', [viewed(coordsInput(repeated()), 'sliced')], {}),
  ];
}

/** Cases of the family `hash`. */
export function hashCases(): ConformanceCase[] {
  return [...buildCases(), ...lookupCases(), ...mapCases(), ...invertCases(), ...uniqueCases()];
}
