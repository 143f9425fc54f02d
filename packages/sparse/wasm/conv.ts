// Jobs of sparse convolution: packing the taps of a weight, and the gathered products over a neighbour map.
import { address, word } from '../../core/wasm/lib/job';
import { packPanels } from '../../core/wasm/lib/pack';
import { block, padTable, PANEL_BYTES } from '../../core/wasm/lib/tile';

/** Rows of a block, at most; its two row tables and the edge tile of `block` lie in scratch. */
const MAX_BLOCK_ROWS: i32 = 4096;
const C_TABLE: usize = 20480;
const EDGE: usize = 40960;

/**
 * Packs the taps of a weight `[columns, taps, depth]` into panels of 8 columns. One item is one tap.
 *
 * Words: 0 weight, 1 destination, 2 bytes of a packed tap, 3 depth, 4 columns, 5 taps.
 */
export function packTaps(args: usize, begin: i32, end: i32, scratch: usize): void {
  const weight = address(args, 0);
  const destination = address(args, 1);
  const tapBytes = address(args, 2);
  const depth = word(args, 3);
  const columns = word(args, 4);
  const taps = word(args, 5);
  const depthBytes = <usize>depth << 2;
  for (let tap = begin; tap < end; tap++) {
    packPanels(
      weight + <usize>tap * depthBytes,
      4,
      <usize>taps * depthBytes,
      depth,
      columns,
      destination + <usize>tap * tapBytes,
      <usize>depth * PANEL_BYTES,
    );
  }
}

/** Sets rows of the output to the bias, or to 0. */
function startRows(out: usize, rows: i32, rowBytes: usize, bias: usize): void {
  if (bias === 0) {
    memory.fill(out, 0, <usize>rows * rowBytes);
    return;
  }
  for (let r = 0; r < rows; r++, out += rowBytes) memory.copy(out, bias, rowBytes);
}

/**
 * One item is a block of output rows. For each tap, the rows that have a neighbour there are gathered into tables and
 * multiplied at once; the sums of a row run over the taps in order, whatever the blocks.
 *
 * Words: 0 x, 1 rows of x, 2 packed weight, 3 bytes of a packed tap, 4 bias or 0, 5 map, 6 out, 7 rows of out, 8 taps,
 * 9 depth (at least 1), 10 columns, 11 rows of a block, 12 depth of a block.
 */
export function gatherConv(args: usize, begin: i32, end: i32, scratch: usize): void {
  const x = address(args, 0);
  const sources = <u32>word(args, 1);
  const weight = address(args, 2);
  const tapBytes = address(args, 3);
  const bias = address(args, 4);
  const map = address(args, 5);
  const out = address(args, 6);
  const rows = word(args, 7);
  const taps = word(args, 8);
  const depth = word(args, 9);
  const columns = word(args, 10);
  const blockRows = min(MAX_BLOCK_ROWS, word(args, 11));
  const blockDepth = word(args, 12);
  const rowBytes = <usize>depth << 2;
  const outBytes = <usize>columns << 2;
  const mapBytes = <usize>taps << 2;
  const panelBytes = <usize>depth * PANEL_BYTES;
  const cTable = scratch + C_TABLE;
  for (let item = begin; item < end; item++) {
    const first = item * blockRows;
    const height = min(blockRows, rows - first);
    const target = out + <usize>first * outBytes;
    startRows(target, height, outBytes, bias);
    for (let tap = 0; tap < taps; tap++) {
      let entry = map + <usize>first * mapBytes + (<usize>tap << 2);
      let c = target;
      let count = 0;
      for (let r = 0; r < height; r++) {
        // Unsigned: -1 is larger than every row.
        const source = load<u32>(entry);
        const at = <usize>count << 2;
        // Written whether it counts or not: the next one overwrites it, and no branch is mispredicted.
        store<u32>(scratch + at, <u32>x + source * <u32>rowBytes);
        store<u32>(cTable + at, <u32>c);
        count += <i32>(source < sources);
        entry += mapBytes;
        c += outBytes;
      }
      if (count === 0) continue;
      padTable(scratch, count);
      padTable(cTable, count);
      const panels = weight + <usize>tap * tapBytes;
      for (let d = 0; d < depth; d += blockDepth) {
        block(
          count,
          scratch,
          <usize>d << 2,
          panels + <usize>d * PANEL_BYTES,
          panelBytes,
          min(blockDepth, depth - d),
          columns,
          cTable,
          0,
          true,
          scratch + EDGE,
        );
      }
    }
  }
}
