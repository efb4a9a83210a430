// What a word of a stack, of a register or of a field that may be anything may refer to: the object into
// which it points, and the one that ends where it points. Compilers keep an array by its end alone.
#pragma once

#include <cstdint>

#include "gcruntime/heap/page_map.h"

namespace tailrace::gc {

// Calls found(place) for each of them, at most two. Free slots are none: their bits may be anything.
template <typename Found>
void for_each_referent(std::uintptr_t word, Found&& found) noexcept {
  if (!heap::contains(word)) return;
  const heap::ObjectPlace place = heap::find_object(word);
  if (place.slot != 0 && place.allocated()) found(place);
  // At a slot's first byte, or behind a span's last slot.
  if ((word != place.slot && place.slot != 0) || !heap::contains(word - 1)) return;
  const heap::ObjectPlace before = heap::find_object(word - 1);
  if (before.slot != 0 && before.slot + before.slot_bytes == word && before.allocated()) {
    found(before);
  }
}

}  // namespace tailrace::gc
