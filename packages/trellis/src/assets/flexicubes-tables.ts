/**
 * Case tables of dual marching cubes, derived from the geometry of the cube on first use.
 *
 * A cell has one of 256 cases: bit `i` is set when corner `i` lies inside the surface. The crossing edges of a case fall
 * into groups, one per surface sheet through the cell, and every group emits one dual vertex.
 *
 * @see Nielson, Dual Marching Cubes, IEEE Visualization 2004; Shen et al., FlexiCubes, arXiv 2308.05371
 */

/** Corner `i` of the unit cell sits at `(i & 1, i >> 1 & 1, i >> 2 & 1)`. */
export const CORNERS = 8;

/** Corner pairs of the 12 cell edges. x- and z-edges run upwards, y-edges downwards, in every cell alike. */
export const EDGE_CORNERS: readonly (readonly [number, number])[] = [
  [0, 1],
  [1, 5],
  [4, 5],
  [0, 4],
  [2, 3],
  [3, 7],
  [6, 7],
  [2, 6],
  [2, 0],
  [3, 1],
  [7, 5],
  [6, 4],
];

/** Most dual vertices that one cell emits. */
export const MAX_GROUPS = 4;
/** Most edges in one group. */
export const MAX_GROUP_EDGES = 7;

/** Tables indexed by case. */
export interface FlexicubesTables {
  /** `[256]` dual vertices of the case, 0 to 4. */
  readonly groupCount: Uint8Array;
  /** `[256, 4, 7]` edges of each dual vertex, ascending, padded with -1. */
  readonly groupEdges: Int8Array;
  /** `[256, 12]` the dual vertex that owns an edge, -1 when the edge is not crossed. */
  readonly edgeGroup: Int8Array;
  /**
   * `[256]` 1 when the case has one ambiguous face whose four crossings belong to one group. Two such cells that share
   * the ambiguous face disagree about it, so both switch to the complementary case.
   */
  readonly ambiguous: Uint8Array;
  /** `[256, 3]` step towards the neighbour behind the ambiguous face; zeros when the case is not ambiguous. */
  readonly ambiguousStep: Int8Array;
}

let tables: FlexicubesTables | undefined;

/** The tables, built once. */
export function flexicubesTables(): FlexicubesTables {
  tables ??= deriveTables();
  return tables;
}

/** Edges of each face, in the order x-, x+, y-, y+, z-, z+. */
const FACE_EDGES: readonly (readonly number[])[] = [0, 1, 2, 3, 4, 5].map((face) => {
  const axis = face >> 1;
  const onFace = (corner: number): boolean => ((corner >> axis) & 1) === (face & 1);
  return EDGE_CORNERS.flatMap(([a, b], edge) => (onFace(a) && onFace(b) ? [edge] : []));
});

/** The published tables list the two groups of this one case in the opposite order. */
const REVERSED_CASE = 231;

function deriveTables(): FlexicubesTables {
  const groupCount = new Uint8Array(256);
  const groupEdges = new Int8Array(256 * MAX_GROUPS * MAX_GROUP_EDGES).fill(-1);
  const edgeGroup = new Int8Array(256 * 12).fill(-1);
  const ambiguous = new Uint8Array(256);
  const ambiguousStep = new Int8Array(256 * 3);

  for (let code = 0; code < 256; code++) {
    const { groups, ambiguousFaces } = groupCrossings(code);
    if (code === REVERSED_CASE) groups.reverse();
    groupCount[code] = groups.length;
    groups.forEach((edges, group) => {
      edges.forEach((edge, at) => {
        groupEdges[(code * MAX_GROUPS + group) * MAX_GROUP_EDGES + at] = edge;
        edgeGroup[code * 12 + edge] = group;
      });
    });
    const face = ambiguousFaces[0];
    if (ambiguousFaces.length !== 1 || face === undefined) continue;
    const owners = new Set(FACE_EDGES[face]!.map((edge) => edgeGroup[code * 12 + edge]));
    if (owners.size !== 1) continue;
    ambiguous[code] = 1;
    ambiguousStep[code * 3 + (face >> 1)] = face & 1 ? 1 : -1;
  }
  return { groupCount, groupEdges, edgeGroup, ambiguous, ambiguousStep };
}

/** Splits the crossing edges of a case into connected groups, ordered by their smallest inside corner. */
function groupCrossings(code: number): { groups: number[][]; ambiguousFaces: number[] } {
  const inside = (corner: number): boolean => ((code >> corner) & 1) === 1;
  const crossing = (edge: number): boolean => {
    const [a, b] = EDGE_CORNERS[edge]!;
    return inside(a) !== inside(b);
  };
  const label = Array.from({ length: 12 }, (_, edge) => edge);
  const link = (a: number, b: number): void => {
    const from = label[a]!;
    const to = label[b]!;
    for (let edge = 0; edge < 12; edge++) if (label[edge] === from) label[edge] = to;
  };

  const ambiguousFaces: number[] = [];
  FACE_EDGES.forEach((faceEdges, face) => {
    const crossed = faceEdges.filter(crossing);
    if (crossed.length === 2) link(crossed[0]!, crossed[1]!);
    if (crossed.length !== 4) return;
    ambiguousFaces.push(face);
    // On an ambiguous face the inside corners stay apart: each cuts off its own two edges.
    for (let corner = 0; corner < CORNERS; corner++) {
      if (!inside(corner)) continue;
      const meeting = faceEdges.filter((edge) => EDGE_CORNERS[edge]!.includes(corner));
      if (meeting.length === 2) link(meeting[0]!, meeting[1]!);
    }
  });

  const byLabel = new Map<number, number[]>();
  for (let edge = 0; edge < 12; edge++) {
    if (!crossing(edge)) continue;
    const group = byLabel.get(label[edge]!);
    if (group === undefined) byLabel.set(label[edge]!, [edge]);
    else group.push(edge);
  }
  const firstInside = (edges: number[]): number =>
    Math.min(...edges.map((edge) => EDGE_CORNERS[edge]!.find(inside)!));
  const groups = [...byLabel.values()].sort((a, b) => firstInside(a) - firstInside(b));
  return { groups, ambiguousFaces };
}
