set(base_sources check.cc describe_code.cc shard.cc spin_lock.cc thread_state.cc)
set(base_headers annotations.h check.h describe_code.h mutant.h shard.h spin_lock.h thread_state.h)
set(base_tests base_test.cc describe_code_test.cc shard_test.cc)
