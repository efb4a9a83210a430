set(heap_sources arena_blocks.cc heap.cc huge_pages.cc page_runs.cc pages.cc poison.cc quarantine.cc span_lists.cc sweep.cc)
set(heap_headers alloc_counts.h arena_blocks.h heap.h huge_pages.h page_map.h page_runs.h pages.h poison.h quarantine.h scavenge.h size_class.h slots.h span.h span_lists.h sweep.h worker_cache.h)
set(heap_tests huge_pages_test.cc page_runs_test.cc scavenge_test.cc size_class_test.cc)
# In a process of their own: they end markings by hand, which a running collector would take for its own.
set(heap_alone_tests sweep_test.cc sweep_test_support.h sweep_threads_test.cc)
