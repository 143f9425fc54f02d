// One CUDA device: its stream, its memory, and captured graphs.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "pinned.h"
#include "pool.h"

namespace pergola {

// A captured sequence of launches with the memory that it uses.
struct Graph {
  Graph() = default;
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  cudaGraphExec_t exec = nullptr;
  size_t nodes = 0;
  // Nobody else allocates from it while the graph lives: each replay writes to the same places again.
  std::unique_ptr<Pool> pool;
  std::vector<std::unique_ptr<PinnedCopy>> uploads;
};

// Not thread-safe: one thread drives a device. Only `pinned()` may be used from others.
class Device {
 public:
  // `development`: errors of kernels are waited for after every launch, so that they name their op, and every tensor is
  // an allocation of the driver's own, so that tools see its bounds.
  Device(int ordinal, bool development);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Makes this the device of the calling thread; every entry from outside starts with it.
  void activate() const;

  void* allocate(size_t bytes);
  void free(void* address);
  void trim() { pool_.trim(); }
  size_t pooled_bytes() const;

  // Copies through pinned staging; returns once `source` may be changed. A captured upload is part of each replay.
  void upload(void* target, const void* source, size_t bytes);
  const std::shared_ptr<PinnedCache>& pinned() const { return pinned_; }
  cudaStream_t stream() const { return stream_; }
  int ordinal() const { return ordinal_; }
  bool development() const { return development_; }
  const cudaDeviceProp& properties() const { return properties_; }

  // Memory for the duration of one launcher, reused by the next call on the stream. Ask for it once per launcher.
  void* workspace(size_t bytes);
  // Lets a kernel use this much dynamic shared memory, which has to be said where it is above 48 KiB.
  void allow_shared(const void* kernel, int bytes);
  // A stream to time work on: that of the device, or one beside it while a step is captured, which waits for nothing
  // that is captured. Throws away no order: use it only for work whose results nobody reads.
  cudaStream_t timing_stream();

  void begin_capture();
  int end_capture();
  void abort_capture();
  void launch_graph(int id);
  size_t graph_nodes(int id) const;
  // Blocks of the graph's memory that are still in use live on until they are freed.
  void destroy_graph(int id);
  bool capturing() const { return capture_ != nullptr; }

  // Records one of two timing events; elapsed_ms waits for both.
  void mark_time(int slot);
  float elapsed_ms();

 private:
  void retire(std::unique_ptr<Pool> pool);

  int ordinal_;
  bool development_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  cudaStream_t side_stream_ = nullptr;
  // What the stream had to do when the capture began.
  cudaEvent_t before_capture_ = nullptr;
  cudaEvent_t marks_[2] = {nullptr, nullptr};
  Pool pool_;
  StagingRing staging_;
  std::shared_ptr<PinnedCache> pinned_ = std::make_shared<PinnedCache>();
  // The step being captured.
  std::unique_ptr<Graph> capture_;
  std::unordered_map<int, std::unique_ptr<Graph>> graphs_;
  int next_graph_ = 1;
  // Pools of ended graphs whose results are still in use.
  std::vector<std::unique_ptr<Pool>> retired_;
  std::unordered_set<const void*> shared_allowed_;
  void* workspace_ = nullptr;
  size_t workspace_bytes_ = 0;
};

}  // namespace pergola
