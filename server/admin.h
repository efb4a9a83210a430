// The admin listener's routes below /debug, and who may use them.
#pragma once

#include <string>
#include <vector>

#include "server/cidr.h"
#include "server/gc_settings.h"
#include "server/router.h"
#include "server/service.h"

namespace tailrace::http {

// /debug, /debug/memstats, /debug/arenas, /debug/gc, /debug/gc/settings.
void add_debug_routes(Router& router, GcSettings& settings);

// Lets a request below /debug pass if it carries the bearer token, or comes from an allowed block.
Service::Guard make_debug_guard(std::string token, std::vector<Cidr> allowed);

}  // namespace tailrace::http
