// The torture programs by name; torture --list prints them.
#pragma once

#include <span>

#include "gcruntime/torture/run.h"

namespace tailrace::torture {

struct Program {
  const char* name;
  const char* what;
  void (*run)(Run& run);
};
std::span<const Program> programs();

void binary_trees(Run& run);
void long_list(Run& run);
void pointer_array(Run& run);
void rehashing_map(Run& run);
void relinking(Run& run);
void hide_and_seek(Run& run);
void fiber_storm(Run& run);
void swiss_cheese(Run& run);
void exceptions(Run& run);
void timer_storm(Run& run);
void mutex_storm(Run& run);
void channels(Run& run);
void large_objects(Run& run);
void windows(Run& run);
void walker(Run& run);
void tree_reverse(Run& run);
void weak_references(Run& run);
void limit(Run& run);
void escapes(Run& run);

}  // namespace tailrace::torture
