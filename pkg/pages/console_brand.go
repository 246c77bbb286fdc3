package pages

import (
	"net/http"
	"strings"
)

// brandView is what the template of the brand gets.
type brandView struct {
	console
	Set     Brand
	Version string // the ETag of the brand
}

func showBrand(v *visit) (any, error) {
	c, err := v.console("brand")
	if err != nil {
		return nil, err
	}
	view := &brandView{console: c}
	err = v.do(call{method: http.MethodGet, path: c.orgPath("/brand"), bearer: v.bearer, etag: &view.Version}, &view.Set)
	if v.r.Method == http.MethodPost { // what was typed stays
		view.Set = typedBrand(v)
	}
	return view, err
}

func typedBrand(v *visit) Brand {
	return Brand{Name: strings.TrimSpace(v.field("name")), Colour: strings.TrimSpace(v.field("colour")), Logo: strings.TrimSpace(v.field("logo"))}
}

func saveBrand(v *visit) error {
	c, err := v.console("brand")
	if err != nil {
		return err
	}
	typed := typedBrand(v)
	body := map[string]any{"name": nil, "colour": nil, "logo": nil}
	for name, value := range map[string]string{"name": typed.Name, "colour": typed.Colour, "logo": typed.Logo} {
		if value != "" {
			body[name] = value
		}
	}
	err = v.change(http.MethodPut, c.orgPath("/brand"), v.field("version"), body, nil)
	switch codeOf(err) {
	case "version_mismatch":
		var now Brand
		if err := v.get(c.orgPath("/brand"), &now); err != nil {
			return err
		}
		if now == typed {
			return v.done("brand_saved") // the form was sent twice
		}
		v.remark(http.StatusPreconditionFailed, v.T("console.wrong.brand_conflict"))
		return nil
	case "invalid_request":
		text := v.T("console.wrong.brand")
		if p := err.(*problem); oneOf(p.Param, []string{"name", "colour", "logo"}) != "" {
			text = v.T("console.wrong.brand_" + p.Param)
		}
		v.remark(http.StatusUnprocessableEntity, text)
		return nil
	}
	if err != nil {
		return err
	}
	return v.done("brand_saved")
}
