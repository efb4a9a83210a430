set(base_sources check.cc spin_lock.cc thread_state.cc)
set(base_headers annotations.h check.h mutant.h spin_lock.h thread_state.h)
set(base_tests base_test.cc)
