// One CUDA device: its stream, a caching allocator, pinned staging for transfers, and captured graphs.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace pergola {

// Thrown when the device has no room even after the pool was emptied.
struct OutOfMemory : std::exception {
  size_t requested, live, pooled, free_bytes, total;
  std::string text;
  OutOfMemory(size_t requested, size_t live, size_t pooled, size_t free_bytes, size_t total);
  const char* what() const noexcept override { return text.c_str(); }
};

// Best-fit allocator over large cudaMalloc segments. Everything runs on one stream, so a freed block may be
// handed out again at once: later work is ordered behind the work that still uses it.
class Pool {
 public:
  ~Pool();
  void* allocate(size_t bytes);
  // False when the address is not from this pool.
  bool free(void* address);
  // Returns wholly free segments to the driver.
  void trim();
  size_t live_bytes() const { return live_; }
  size_t pooled_bytes() const { return reserved_ - live_; }

 private:
  struct Block {
    size_t bytes;
    bool used;
    uintptr_t segment;
  };
  void insert_free(uintptr_t address, size_t bytes);
  void erase_free(uintptr_t address, size_t bytes);
  std::map<uintptr_t, Block> blocks_;
  std::set<std::pair<size_t, uintptr_t>> free_;
  std::map<uintptr_t, size_t> segments_;
  size_t live_ = 0;
  size_t reserved_ = 0;
};

// Pinned host bytes that a captured upload reads at every replay.
struct PinnedCopy {
  PinnedCopy(const void* source, size_t bytes);
  ~PinnedCopy();
  PinnedCopy(const PinnedCopy&) = delete;
  PinnedCopy& operator=(const PinnedCopy&) = delete;
  void* host = nullptr;
};

// A captured sequence of launches with the memory that it uses.
struct Graph {
  cudaGraphExec_t exec = nullptr;
  size_t nodes = 0;
  std::unique_ptr<Pool> pool;
  std::vector<std::unique_ptr<PinnedCopy>> uploads;
};

class Device {
 public:
  explicit Device(int ordinal);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void* allocate(size_t bytes);
  void free(void* address);
  void trim() { pool_.trim(); }
  size_t pooled_bytes() const;

  // Copies through pinned staging; returns once `source` may be changed. A captured upload is part of each replay.
  void upload(void* target, const void* source, size_t bytes);
  void synchronize();
  cudaStream_t stream() const { return stream_; }
  int ordinal() const { return ordinal_; }
  const cudaDeviceProp& properties() const { return properties_; }

  // Memory for the duration of one launcher, reused by the next call on the stream.
  void* workspace(size_t bytes);

  void begin_capture();
  int end_capture();
  void abort_capture();
  void launch_graph(int id);
  size_t graph_nodes(int id) const;
  // Blocks of the graph's memory that are still in use live on until they are freed.
  void destroy_graph(int id);
  bool capturing() const { return capture_ != nullptr; }

 private:
  struct Staging {
    void* host = nullptr;
    cudaEvent_t done = nullptr;
    bool busy = false;
  };
  int ordinal_;
  cudaDeviceProp properties_{};
  cudaStream_t stream_ = nullptr;
  Pool pool_;
  void retire(std::unique_ptr<Pool> pool);
  // The step being captured.
  std::unique_ptr<Graph> capture_;
  std::unordered_map<int, Graph> graphs_;
  int next_graph_ = 1;
  // Pools of ended graphs whose results are still in use.
  std::vector<std::unique_ptr<Pool>> retired_;
  Staging staging_[2];
  int next_staging_ = 0;
  void* workspace_ = nullptr;
  size_t workspace_bytes_ = 0;
};

}  // namespace pergola
