#include "block.hpp"

#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "kernels.hpp"

namespace cgnet::native {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;

}  // namespace

// Large memory from calloc is zero without being touched, so pages that nobody uses cost nothing. In huge pages, where
// the system lends them, its first use takes a tenth of the time.
Block::Block(size_t bytes) : size_(bytes) {
  const size_t align = bytes < kHugePage ? kAlign : kHugePage, all = bytes + kPastEnd;
  memory_.reset(std::calloc(all + align, 1));
  if (!memory_) throw std::bad_alloc();
  const auto at = reinterpret_cast<uintptr_t>(memory_.get());
  data_ = static_cast<uint8_t*>(memory_.get()) + (align - at % align);
#if defined(__linux__)
  if (align == kHugePage) madvise(data_, all / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
}

}  // namespace cgnet::native
