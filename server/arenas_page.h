// /debug/arenas: what requests' arenas hold and what escapes from them, by route and by place of the store.
#pragma once

#include "server/request.h"
#include "server/response.h"

namespace tailrace::http {

// Text, or JSON with ?format=json.
Response show_arenas(Request& request);

}  // namespace tailrace::http
