/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/pages.h"

#include "base/encode.h"
#include "crypto/digest.h"

#include <stdlib.h>
#include <string.h>

/* Made by tools/embed-templates out of web/portal. */
extern const struct template_source portal_templates[];
extern const size_t portal_templates_count;

enum { CSS_NAME_BYTES = 6, VALUES_MAX = 32 };

static const char *const names[PAGE_COUNT] = {
    [PAGE_HOME] = "home.html",     [PAGE_LINK] = "link.html",       [PAGE_CODE] = "code.html",
    [PAGE_FRAME] = "frame.html",   [PAGE_MESSAGE] = "message.html", [PAGE_REPLY] = "reply.html",
    [PAGE_SENT] = "sent.html",     [PAGE_KEPT] = "kept.html",       [PAGE_GONE] = "gone.html",
    [PAGE_LOCKED] = "locked.html", [PAGE_NOTICE] = "notice.html",
};

struct pages {
    struct template *templates[PAGE_COUNT];
    struct buffer css_path, url;
    struct slice css;
};

static void name_css(struct pages *pages)
{
    uint8_t digest[SHA256_BYTES];

    for (size_t i = 0; i < portal_templates_count; i++)
        if (strcmp(portal_templates[i].name_cstr, "portal.css") == 0)
            pages->css = portal_templates[i].text;
    sha256(pages->css, digest);
    must(pages->css.len > 0 && buffer_append(&pages->css_path, S("/portal-")) &&
         hex_append(&pages->css_path, slice_of(digest, CSS_NAME_BYTES)) &&
         buffer_append(&pages->css_path, S(".css")));
}

bool pages_new(struct slice url, struct pages **pages_out, struct err *err)
{
    struct pages *pages = calloc(1, sizeof *pages);

    must(pages != NULL);
    *pages_out = NULL;
    buffer_init(&pages->css_path, 100);
    buffer_init(&pages->url, 1000);
    if (!buffer_append(&pages->url, url)) {
        pages_free(&pages);
        return FAIL(err, ERR_PERM, "the portal's url is too long");
    }
    name_css(pages);
    for (size_t i = 0; i < PAGE_COUNT; i++) {
        pages->templates[i] =
            template_parse(portal_templates, portal_templates_count, names[i], err);
        if (pages->templates[i] == NULL) {
            pages_free(&pages);
            return false;
        }
    }
    *pages_out = pages;
    return true;
}

void pages_free(struct pages **pages)
{
    if (*pages == NULL)
        return;
    for (size_t i = 0; i < PAGE_COUNT; i++)
        template_free(&(*pages)->templates[i]);
    buffer_deinit(&(*pages)->css_path);
    buffer_deinit(&(*pages)->url);
    free(*pages);
    *pages = NULL;
}

bool pages_write(const struct pages *pages, enum page page, const struct template_value *values,
                 size_t count, struct buffer *out, struct err *err)
{
    struct template_value all[VALUES_MAX];

    must(count + 2 <= VALUES_MAX);
    if (count > 0)
        memcpy(all, values, count * sizeof *values);
    all[count++] = template_text("css", buffer_view(&pages->css_path));
    all[count++] = template_text("url", buffer_view(&pages->url));
    return template_write(pages->templates[page], TEMPLATE_HTML,
                          &(struct template_scope){all, count}, out, err);
}

struct slice pages_css_path(const struct pages *pages)
{
    return buffer_view(&pages->css_path);
}

struct slice pages_css(const struct pages *pages)
{
    return pages->css;
}
