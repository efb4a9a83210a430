# The room's files, part by part; the parts' own lists stand beside them.
foreach(part plan measure models report)
  include(${CMAKE_CURRENT_LIST_DIR}/${part}.cmake)
endforeach()

set(command_sources campaign.cc command_files.cc command_selfcheck.cc command_send.cc command_synthetic.cc
  interrupt.cc options.cc outputs.cc progress_line.cc scrape.cc selfcheck.cc selfcheck_cache.cc slo.cc)
set(command_headers campaign.h commands.h exit_code.h interrupt.h options.h outputs.h progress_line.h scrape.h
  selfcheck.h slo.h)
set(command_tests command_test.cc scrape_test.cc selfcheck_test.cc slo_test.cc test_cache.h)
