// The page's style sheet and its script, which only moves a crosshair: everything is readable without it.
//
// Colours: Okabe and Ito's, which colour-blind readers can tell apart, darkened or lightened until they
// stand out from the ground by 3:1; lines differ in stroke as well. Dark by the reader's preference, print
// always light.
#pragma once

#include <string_view>

namespace tailrace::loadtest {

std::string_view report_style();
std::string_view report_script();

}  // namespace tailrace::loadtest
