// buildHash, lookupHash and inspectCoords over the coordinate hash.
#include "aligned_coords.h"
#include "coord_hash.cuh"

namespace pergola {
namespace {

constexpr int kThreads = 256;

struct BuildParams {
  uint32_t rows, capacity;
};

struct LookupParams {
  uint32_t queries, rows, capacity;
};

struct InspectParams {
  uint32_t rows, capacity;
};

// Every slot keeps the smallest row that passes it, and whoever is displaced moves on: the layout is that of insertion
// in ascending order, whatever the schedule (Shun and Blelloch, SPAA 2014). Empty slots hold the largest number.
__global__ void insert_rows(const int4* __restrict__ coords, uint32_t* __restrict__ slots, BuildParams p) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i >= p.rows) return;
  const uint32_t mask = p.capacity - 1;
  uint32_t row = i;
  int4 coord = coords[row];
  uint32_t slot = hash_coord(coord) & mask;
  for (;;) {
    const uint32_t old = atomicMin(slots + slot, row);
    if (old == 0xffffffffu || old == row) return;
    const int4 other = coords[old];
    // Of equal coordinates the smaller row has the slot now.
    if (same_coord(other, coord)) return;
    if (old > row) {
      row = old;
      coord = other;
    }
    slot = (slot + 1) & mask;
  }
}

__global__ void look_up(const int32_t* __restrict__ slots, const int4* __restrict__ coords,
                        const int4* __restrict__ queries, int32_t* __restrict__ out, LookupParams p) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  if (i < p.queries) out[i] = find_row(slots, p.capacity - 1, coords, queries[i]);
}

// Fields of the report, in the order of packages/sparse/src/ops/report.ts.
enum Field { OutOfRange, NegativeBatch, Unsorted, Duplicate, MaxBatch, MinX, MinY, MinZ, MaxX, MaxY, MaxZ, Fields };

__device__ __forceinline__ int32_t least(int32_t value) { return __reduce_min_sync(0xffffffffu, value); }
__device__ __forceinline__ int32_t most(int32_t value) { return __reduce_max_sync(0xffffffffu, value); }

__device__ __forceinline__ bool outside(int32_t value) { return value < -32768 || value > 32767; }

__global__ void empty_report(int32_t* __restrict__ report) {
  const int field = threadIdx.x;
  if (field < Fields) report[field] = field == MaxBatch ? -1 : (field >= MaxX ? INT32_MIN : INT32_MAX);
}

__global__ void inspect(const int4* __restrict__ coords, const int32_t* __restrict__ slots, int32_t* __restrict__ report,
                        InspectParams p) {
  const uint32_t i = blockIdx.x * kThreads + threadIdx.x;
  // Threads behind the last row look at it again: whole warps are needed below.
  const int32_t row = static_cast<int32_t>(min(i, p.rows - 1));
  const int4 coord = coords[row];
  const auto row_if = [row](bool offends) { return offends ? row : INT32_MAX; };
  int32_t found[Fields];
  found[OutOfRange] = least(row_if(outside(coord.y) || outside(coord.z) || outside(coord.w)));
  found[NegativeBatch] = least(row_if(coord.x < 0));
  found[Unsorted] = least(row_if(row > 0 && coord.x < coords[row - 1].x));
  found[Duplicate] = least(row_if(find_row(slots, p.capacity - 1, coords, coord) != row));
  found[MaxBatch] = most(coord.x);
  found[MinX] = least(coord.y);
  found[MinY] = least(coord.z);
  found[MinZ] = least(coord.w);
  found[MaxX] = most(coord.y);
  found[MaxY] = most(coord.z);
  found[MaxZ] = most(coord.w);
  if (threadIdx.x % 32 != 0) return;
#pragma unroll
  for (int field = 0; field < Fields; field++) {
    // Offending rows and lower bounds take the least, the batch and upper bounds the largest.
    if (field == MaxBatch || field >= MaxX) atomicMax(report + field, found[field]);
    else if (field >= MinX || found[field] != INT32_MAX) atomicMin(report + field, found[field]);
  }
}

}  // namespace

// Buffers: coords, slots.
PERGOLA_LAUNCHER(buildHash) {
  const auto& p = call.as<BuildParams>();
  auto* slots = call.out<uint32_t>(1);
  check(cudaMemsetAsync(slots, 0xff, sizeof(uint32_t) * p.capacity, call.stream), "buildHash");
  const AlignedCoords coords(call, 0, p.rows);
  if (p.rows > 0) insert_rows<<<ceil_div(p.rows, kThreads), kThreads, 0, call.stream>>>(coords, slots, p);
  check_launch("buildHash");
}

// Buffers: slots, coords, queries, out.
PERGOLA_LAUNCHER(lookupHash) {
  const auto& p = call.as<LookupParams>();
  const AlignedCoords coords(call, 1, p.rows);
  const AlignedCoords queries(call, 2, p.queries);
  look_up<<<ceil_div(p.queries, kThreads), kThreads, 0, call.stream>>>(call.in<int32_t>(0), coords, queries,
                                                                      call.out<int32_t>(3), p);
  check_launch("lookupHash");
}

// Buffers: coords, slots, report.
PERGOLA_LAUNCHER(inspectCoords) {
  const auto& p = call.as<InspectParams>();
  auto* report = call.out<int32_t>(2);
  empty_report<<<1, 32, 0, call.stream>>>(report);
  if (p.rows > 0) {
    const AlignedCoords coords(call, 0, p.rows);
    inspect<<<ceil_div(p.rows, kThreads), kThreads, 0, call.stream>>>(coords, call.in<int32_t>(1), report, p);
  }
  check_launch("inspectCoords");
}

}  // namespace pergola
