// The library's front door: a service in one include. Installed as <tailrace/tailrace.h>.
//
// Everyday names stand in namespace tailrace. json(value) is tailrace::http::json, because
// tailrace::json is the namespace of encoder and decoder: `using namespace tailrace::http;` in a
// file of handlers brings everything.
#pragma once

#include "gcruntime/gcruntime.h"
#include "server/app.h"
#include "server/error.h"
#include "server/json_body.h"
#include "server/request.h"
#include "server/response.h"
#include "server/test_client.h"

namespace tailrace {

using http::App;
using http::BadRequest;
using http::Buffer;
using http::ClientResponse;
using http::Handler;
using http::HttpError;
using http::Method;
using http::Request;
using http::Response;
using http::RouteOptions;
using http::TestClient;

using http::bad_request;
using http::created;
using http::error;
using http::no_content;
using http::not_found;

}  // namespace tailrace
