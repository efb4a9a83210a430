set(gc_sources allocate.cc collector.cc hash.cc marker.cc root.cc string.cc type_info.cc verifier.cc world.cc)
set(gc_headers allocate.h collect.h collector.h hash.h make.h map.h marker.h mem_stats.h member.h mutator.h
  root.h root_table.h store.h string.h trace.h type_info.h vector.h verifier.h world.h)
set(gc_tests alloc_counts_test.cc collector_test.cc hash_test.cc map_test.cc marker_test.cc member_test.cc mutator_death_test.cc
  mutator_test.cc out_of_memory_test.cc root_test.cc slots_test.cc string_test.cc test_hideout.cc thread_scope_test.cc torture_test.cc trace_test.cc
  vector_test.cc verifier_test.cc world_test.cc)
