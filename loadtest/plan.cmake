# When requests are due, what they are, and how people write both.
set(plan_sources
  plan.cc
  quantity.cc
  scenario.cc
  scenario_check.cc
  scenario_json.cc
  scenario_parser.cc
  template.cc
  template_compiler.cc)
set(plan_headers
  plan.h
  quantity.h
  scenario.h
  scenario_check.h
  scenario_json.h
  template.h
  template_program.h)
set(plan_tests
  plan_test.cc
  plan_statistics_test.cc
  quantity_test.cc
  scenario_test.cc
  scenario_parser_test.cc
  scenario_files_test.cc
  template_test.cc)
set_source_files_properties(scenario_files_test.cc PROPERTIES
  COMPILE_DEFINITIONS TAILRACE_SCENARIOS="${CMAKE_CURRENT_LIST_DIR}/scenarios")
