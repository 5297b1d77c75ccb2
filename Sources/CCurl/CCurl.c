// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

#include "CCurl.h"

#include <dlfcn.h>
#include <stddef.h>

#define CCURL_FUNCTIONS(use) \
    use(curl_global_init)    \
    use(curl_easy_init)      \
    use(curl_easy_cleanup)   \
    use(curl_easy_perform)   \
    use(curl_easy_strerror)  \
    use(curl_easy_setopt)    \
    use(curl_easy_getinfo)   \
    use(curl_slist_append)   \
    use(curl_slist_free_all)

#define CCURL_FIELD(name) __typeof__(name) *name;
static struct {
    CCURL_FUNCTIONS(CCURL_FIELD)
} loaded;

#define CCURL_FIND(name)                                           \
    loaded.name = (__typeof__(name) *)dlsym(library, #name);       \
    if (loaded.name == NULL) return "libcurl.so.4 lacks " #name;

const char *ccurl_load(void) {
    // The name carries the major version: libcurl keeps its binary interface within it.
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return "the shared library libcurl.so.4 (package libcurl4) is not installed";
    CCURL_FUNCTIONS(CCURL_FIND)
    if (loaded.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return "libcurl.so.4 does not initialise";
    return NULL;
}

CURL *ccurl_easy_init(void) { return loaded.curl_easy_init(); }

void ccurl_easy_cleanup(CURL *handle) { loaded.curl_easy_cleanup(handle); }

CURLcode ccurl_easy_perform(CURL *handle) { return loaded.curl_easy_perform(handle); }

const char *ccurl_easy_strerror(CURLcode code) { return loaded.curl_easy_strerror(code); }

CURLcode ccurl_set_long(CURL *handle, CURLoption option, long value) {
    return loaded.curl_easy_setopt(handle, option, value);
}

CURLcode ccurl_set_offset(CURL *handle, CURLoption option, curl_off_t value) {
    return loaded.curl_easy_setopt(handle, option, value);
}

CURLcode ccurl_set_string(CURL *handle, CURLoption option, const char *value) {
    return loaded.curl_easy_setopt(handle, option, value);
}

CURLcode ccurl_set_pointer(CURL *handle, CURLoption option, const void *value) {
    return loaded.curl_easy_setopt(handle, option, value);
}

CURLcode ccurl_set_write_callback(CURL *handle, CURLoption option, curl_write_callback callback) {
    return loaded.curl_easy_setopt(handle, option, callback);
}

CURLcode ccurl_set_progress_callback(CURL *handle, curl_xferinfo_callback callback) {
    return loaded.curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, callback);
}

CURLcode ccurl_get_long(CURL *handle, CURLINFO info, long *value) {
    return loaded.curl_easy_getinfo(handle, info, value);
}

CURLcode ccurl_get_offset(CURL *handle, CURLINFO info, curl_off_t *value) {
    return loaded.curl_easy_getinfo(handle, info, value);
}

struct curl_slist *ccurl_list_append(struct curl_slist *list, const char *line) {
    return loaded.curl_slist_append(list, line);
}

void ccurl_list_free(struct curl_slist *list) { loaded.curl_slist_free_all(list); }
