set(heap_sources heap.cc page_runs.cc poison.cc quarantine.cc)
set(heap_headers alloc_counts.h heap.h page_map.h page_runs.h poison.h quarantine.h size_class.h span.h worker_cache.h)
set(heap_tests page_runs_test.cc size_class_test.cc)
