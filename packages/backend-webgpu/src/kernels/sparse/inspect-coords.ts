/** `inspectCoords` and `batchOffsets`: one pass over a coordinate list, and searches in its batch column. */
import {
  COORD_MAX,
  COORD_MIN,
  NO_ROW,
  REPORT_FIELDS,
  type BatchOffsetsAttrs,
} from '@pergola/sparse';
import type { WebGpuContext, WebGpuKernel } from '../../context.ts';
import { enqueue, LaneVersions, type Lanes, type Launch } from '../launch.ts';
import { FIND_ROW, HASH_COORD } from './coord-hash.wgsl.ts';
import { coordBinding, rowReader } from './coord-rows.ts';

const WORKGROUP = 256;
// Rows of a workgroup: its report goes to memory by a few atomic operations.
const BLOCK = 2048;

const FIELDS = REPORT_FIELDS.length;
const LOWEST = '(-2147483647 - 1)';
const HIGHEST = '2147483647';

/** Fields that hold a maximum, and what they hold before the first row; the others hold a minimum. */
const MAXIMA: Readonly<Partial<Record<(typeof REPORT_FIELDS)[number], string>>> = {
  maxBatch: '-1',
  maxX: LOWEST,
  maxY: LOWEST,
  maxZ: LOWEST,
};

/** WGSL statements, one for each field. */
function forFields(statement: (at: number, maximum: boolean, start: string) => string): string {
  return REPORT_FIELDS.map((field, at) => {
    const start = MAXIMA[field];
    return statement(at, start !== undefined, start ?? HIGHEST);
  }).join('\n  ');
}

function emptyLaunch(context: WebGpuContext): Launch {
  const program = context.program({
    label: 'inspectCoords.empty',
    bindings: [{ name: 'out', dtype: 'i32', use: 'write' }],
    params: {},
    each: 'element',
    workgroup: 1,
    body: `
fn run(index: u32) {
  ${forFields((at, _maximum, start) => `store_out(${at}u, ${start});`)}
}`,
  });
  return { program, params: program.pack({}), count: 1 };
}

function inspectLaunch(context: WebGpuContext, rows: number, mask: number, lanes: Lanes): Launch {
  const program = context.program({
    label: 'inspectCoords',
    bindings: [
      coordBinding('coords', 'read', lanes),
      { name: 'slots', dtype: 'i32', use: 'read' },
      { name: 'out', dtype: 'i32', use: 'atomic' },
    ],
    params: { rows: 'u32', mask: 'u32' },
    each: 'group',
    workgroup: WORKGROUP,
    helpers: [HASH_COORD, rowReader('coords', lanes), FIND_ROW],
    body: `
var<workgroup> report: array<atomic<i32>, ${FIELDS}>;
fn run(group: u32, lane: u32) {
  if (lane == 0u) {
    ${forFields((at, _maximum, start) => `atomicStore(&report[${at}], ${start});`)}
  }
  workgroupBarrier();
  var first = vec4<i32>(${NO_ROW});
  var batch = -1;
  var low = vec3<i32>(${HIGHEST});
  var high = vec3<i32>(${LOWEST});
  let end = min(params.rows, (group + 1u) * ${BLOCK}u);
  for (var row = group * ${BLOCK}u + lane; row < end; row += ${WORKGROUP}u) {
    let at = row_coords(row);
    var unsorted = false;
    if (row > 0u) { unsorted = at.x < row_coords(row - 1u).x; }
    let offends = vec4<bool>(
      any(at.yzw < vec3<i32>(${COORD_MIN})) || any(at.yzw > vec3<i32>(${COORD_MAX})),
      at.x < 0,
      unsorted,
      find_row(at) != i32(row),
    );
    first = min(first, select(vec4<i32>(${NO_ROW}), vec4<i32>(i32(row)), offends));
    batch = max(batch, at.x);
    low = min(low, at.yzw);
    high = max(high, at.yzw);
  }
  let part = array<i32, ${FIELDS}>(
    first.x, first.y, first.z, first.w, batch, low.x, low.y, low.z, high.x, high.y, high.z,
  );
  ${forFields((at, maximum) => `${maximum ? 'atomicMax' : 'atomicMin'}(&report[${at}], part[${at}]);`)}
  workgroupBarrier();
  if (lane == 0u) {
    ${forFields(
      (at, maximum) =>
        `${maximum ? 'atomicMax' : 'atomicMin'}(&out_data[params.out_at + ${at}u], atomicLoad(&report[${at}]));`,
    )}
  }
}`,
  });
  return { program, params: program.pack({ rows, mask }), count: Math.ceil(rows / BLOCK) };
}

interface InspectPlan {
  readonly empty: Launch;
  readonly inspect: LaneVersions;
}

export const inspectCoordsKernel: WebGpuKernel<object, InspectPlan> = {
  op: 'inspectCoords',
  supports: () => true,
  prepare({ inputs }, context) {
    const rows = inputs[0]!.shape[0]!;
    const mask = inputs[1]!.shape[0]! - 1;
    return {
      empty: emptyLaunch(context),
      inspect: new LaneVersions(true, (lanes) => inspectLaunch(context, rows, mask, lanes)),
    };
  },
  run({ empty, inspect }, [coords, slots], [out], context) {
    enqueue(context, empty, [out!]);
    inspect.enqueue(context, [coords!, slots!, out!]);
  },
};

export const batchOffsetsKernel: WebGpuKernel<BatchOffsetsAttrs, Launch> = {
  op: 'batchOffsets',
  supports: () => true,
  prepare({ inputs, outputs }, context) {
    const program = context.program({
      label: 'batchOffsets',
      bindings: [
        { name: 'coords', dtype: 'i32', use: 'read' },
        { name: 'out', dtype: 'i32', use: 'write' },
      ],
      params: { rows: 'u32' },
      each: 'element',
      workgroup: 64,
      body: `
fn run(batch: u32) {
  // The number of rows below the batch element, by bisection.
  var low = 0u;
  var high = params.rows;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (load_coords(4u * middle) < i32(batch)) { low = middle + 1u; } else { high = middle; }
  }
  store_out(batch, i32(low));
}`,
    });
    const params = program.pack({ rows: inputs[0]!.shape[0]! });
    return { program, params, count: outputs[0]!.shape[0]! };
  },
  run(plan, [coords], [out], context) {
    enqueue(context, plan, [coords!, out!]);
  },
};
