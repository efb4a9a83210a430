#include "gcruntime/gc/root.h"

#include "gcruntime/gc/cell_table.h"
#include "gcruntime/gc/root_table.h"

namespace tailrace::gc {
namespace {

constinit CellTable roots("no memory for the root table");

}  // namespace

namespace internal {

void** acquire_root_cell() { return roots.acquire(nullptr); }
void release_root_cell(void** cell) noexcept { roots.release(cell); }

}  // namespace internal

void for_each_root(VisitRoot visit, void* visitor) noexcept {
  roots.for_each([&](std::atomic_ref<void*>, void* object) { visit(visitor, object); });
}

std::size_t root_table_bytes() noexcept { return roots.bytes(); }

}  // namespace tailrace::gc
