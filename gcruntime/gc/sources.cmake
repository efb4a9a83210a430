set(gc_sources allocate.cc allocs_per_run.cc arena.cc arena_destructors.cc arena_stats.cc barrier.cc cell_table.cc check_marks.cc collector.cc cpu_limiter.cc cycle.cc cycle_stats.cc escape.cc escape_counts.cc escape_report.cc finalizer.cc free_os_memory.cc gctrace.cc handle_place.cc handshake.cc hash.cc holds.cc late_copies.cc malloc_blocks.cc malloc_count.cc mark_queue.cc mark_rate.cc mark_scan.cc mark_sweep.cc memory_limit.cc memory_wait.cc marker.cc marking.cc origin.cc pacer.cc pacer_control.cc publish.cc root.cc scavenger.cc stack_copy.cc stale_words.cc string.cc type_info.cc verifier.cc weak.cc world.cc)
set(gc_headers allocate.h allocs_per_run.h arena.h arena_destructors.h arena_record.h assist_ledger.h barrier.h cell_table.h check_marks.h collect.h collector.h cpu_limiter.h cycle.h cycle_stats.h escape.h escape_counts.h escape_report.h escape_watch.h finalizer.h gctrace.h grey_buffer.h handle_place.h hash.h holds.h late_copies.h make.h malloc_blocks.h malloc_count.h map.h mark_budget.h mark_queue.h mark_rate.h mark_slice.h mark_words.h marker.h marking.h mem_stats.h memory_limit.h memory_wait.h member.h mutator.h origin.h pacer.h pacer_control.h pacer_stats.h phase.h publish.h referents.h
  root.h room_line.h root_table.h scavenger.h stack_copy.h stale_words.h store.h string.h trace.h type_info.h vector.h verifier.h weak.h world.h world_wait.h)
set(gc_tests alloc_counts_test.cc arena_destructors_test.cc arena_test.cc barrier_test.cc check_marks_test.cc collector_test.cc cpu_limiter_test.cc cycle_stats_test.cc escape_closure_test.cc escape_containers_test.cc escape_counts_test.cc escape_frames_test.cc escape_report_test.cc escape_scene.h escape_test.cc finalizer_test.cc footprint_test.cc gctrace_test.cc handle_place_test.cc handshake_test.cc hash_test.cc holds_test.cc late_copies_test.cc malloc_count_test.cc map_churn_test.cc map_test.cc mark_budget_test.cc mark_queue_test.cc mark_rate_test.cc marker_test.cc member_test.cc mutator_death_test.cc
  mutator_test.cc out_of_memory_test.cc pacer_control_test.cc pacer_simulation_test.cc pacer_test.cc publish_graph_test.cc publish_test.cc root_test.cc scavenger_test.cc slots_test.cc stack_copy_test.cc string_test.cc test_hideout.cc thread_scope_test.cc trace_test.cc
  vector_test.cc weak_test.cc world_test.cc)
if(TAILRACE_VERIFY)
  list(APPEND gc_tests malloc_blocks_test.cc stale_words_test.cc verifier_test.cc)
endif()

if(TAILRACE_TESTS)
  # What must not compile: the front end is run on refused.cc.
  get_target_property(refused_boost Boost::headers INTERFACE_INCLUDE_DIRECTORIES)
  add_test(NAME gcruntime.refused
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/gc/refused_test.sh ${CMAKE_CXX_COMPILER} -I${PROJECT_SOURCE_DIR}
      -I${refused_boost})
endif()
