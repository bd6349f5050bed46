// Memory that the kernels read and write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace cgnet::native {

// Memory that vectors may be loaded from: aligned, and readable kPastEnd bytes beyond its end.
class Block {
 public:
  Block() = default;
  explicit Block(size_t bytes);
  uint8_t* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<void, Free> memory_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace cgnet::native
