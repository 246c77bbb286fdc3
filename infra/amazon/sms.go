package amazon

import (
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Text is a text message (SMS) that SNS or End User Messaging has taken.
type Text struct {
	At                   time.Time
	By                   string // SNS or EndUserMessaging
	To, Text             string
	SenderID             string        // of SNS, or empty
	Origination          string        // the number or another identity that it is sent from, or empty
	MaxPrice             string        // in USD, or empty
	ConfigurationSet     string        // of End User Messaging, or empty
	ProtectConfiguration string        // of End User Messaging, or empty
	ValidFor             time.Duration // for how long End User Messaging may try to deliver it; zero for the longest time
}

var boundDigits = regexp.MustCompile(`(?m)^@\S+ #([0-9]{6})$`)

// Code returns the code in a text message, which is in the line that binds it to a domain. It is empty if there is none.
func (t Text) Code() string {
	found := boundDigits.FindStringSubmatch(t.Text)
	if found == nil {
		return ""
	}
	return found[1]
}

var (
	e164     = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	price    = regexp.MustCompile(`^[0-9]{1,2}\.[0-9]{1,8}$`)
	identity = regexp.MustCompile(`^[A-Za-z0-9_:/+-]{1,256}$`)
	resource = regexp.MustCompile(`^[A-Za-z0-9_:/-]{1,256}$`)
)

// attributes of a message to SNS, with their types.
// https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-phone.html
var attributeTypes = map[string]string{
	"AWS.SNS.SMS.SMSType": "String", "AWS.SNS.SMS.SenderID": "String", "AWS.SNS.SMS.MaxPrice": "Number", "AWS.MM.SMS.OriginationNumber": "String",
}

// snsAnswer is what SNS answers to Publish.
type snsAnswer struct {
	XMLName   xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ PublishResponse"`
	MessageID string   `xml:"PublishResult>MessageId"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

// publish takes a text message to one number. https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func (a *Account) publish(c *Call) (*snsAnswer, error) {
	attributes := map[string]string{}
	known := []string{"Action", "Version", "PhoneNumber", "Message"}
	for i := 1; ; i++ {
		entry := "MessageAttributes.entry." + strconv.Itoa(i)
		name := c.Form.Get(entry + ".Name")
		if name == "" {
			break
		}
		kind, value := c.Form.Get(entry+".Value.DataType"), c.Form.Get(entry+".Value.StringValue")
		if attributeTypes[name] == "" || kind != attributeTypes[name] || value == "" {
			return nil, refused("InvalidParameter", "The attribute %s with the type %s is not known here.", name, kind)
		}
		attributes[name] = value
		known = append(known, entry+".Name", entry+".Value.DataType", entry+".Value.StringValue")
	}
	for name := range c.Form {
		if !slices.Contains(known, name) {
			return nil, refused("InvalidParameter", "The parameter %s is not known here.", name)
		}
	}
	t := Text{
		At: a.now(), By: SNS, To: c.Form.Get("PhoneNumber"), Text: c.Form.Get("Message"), SenderID: attributes["AWS.SNS.SMS.SenderID"],
		Origination: attributes["AWS.MM.SMS.OriginationNumber"], MaxPrice: attributes["AWS.SNS.SMS.MaxPrice"],
	}
	switch {
	case c.Form.Get("Version") != "2010-03-31":
		return nil, refused("InvalidParameter", "The version must be 2010-03-31.")
	case attributes["AWS.SNS.SMS.SMSType"] != "Transactional":
		return nil, refused("InvalidParameter", "The type of the message must be Transactional.")
	case t.SenderID != "" && !regexp.MustCompile(`^[A-Za-z0-9-]{1,11}$`).MatchString(t.SenderID):
		return nil, refused("InvalidParameter", "The sender id is not one.")
	case t.Origination != "" && !e164.MatchString(t.Origination):
		return nil, refused("InvalidParameter", "The origination number is not one.")
	}
	if err := a.keep(t, "InvalidParameter"); err != nil {
		return nil, err
	}
	return &snsAnswer{MessageID: rand.Text(), RequestID: rand.Text()}, nil
}

// sendTextMessage takes a text message to one number.
// https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
func (a *Account) sendTextMessage(c *Call) (object, error) {
	var said struct {
		DestinationPhoneNumber, MessageBody, MessageType, OriginationIdentity string
		ConfigurationSetName, ProtectConfigurationId, MaxPrice                *string
		TimeToLive                                                            *int
	}
	if err := c.read(&said); err != nil {
		return nil, err
	}
	optional := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	t := Text{
		At: a.now(), By: EndUserMessaging, To: said.DestinationPhoneNumber, Text: said.MessageBody, Origination: said.OriginationIdentity,
		MaxPrice: optional(said.MaxPrice), ConfigurationSet: optional(said.ConfigurationSetName), ProtectConfiguration: optional(said.ProtectConfigurationId),
	}
	if said.TimeToLive != nil {
		if *said.TimeToLive < 5 || *said.TimeToLive > 259200 {
			return nil, refused("ValidationException", "The time to live must be from 5 to 259200 seconds.")
		}
		t.ValidFor = time.Duration(*said.TimeToLive) * time.Second
	}
	switch {
	case said.MessageType != "TRANSACTIONAL":
		return nil, refused("ValidationException", "The type of the message must be TRANSACTIONAL.")
	case !identity.MatchString(t.Origination):
		return nil, refused("ValidationException", "The origination identity is not one.")
	case said.ConfigurationSetName != nil && !resource.MatchString(t.ConfigurationSet):
		return nil, refused("ValidationException", "The configuration set is not one.")
	case said.ProtectConfigurationId != nil && !resource.MatchString(t.ProtectConfiguration):
		return nil, refused("ValidationException", "The protect configuration is not one.")
	}
	if err := a.keep(t, "ValidationException"); err != nil {
		return nil, err
	}
	return object{"MessageId": rand.Text()}, nil
}

// keep takes a text message, or refuses it with a code.
func (a *Account) keep(t Text, code string) error {
	switch {
	case !e164.MatchString(t.To):
		return refused(code, "The number is not in the format E.164.")
	case t.Text == "" || len(t.Text) > 1600:
		return refused(code, "The message has %d bytes.", len(t.Text))
	case t.MaxPrice != "" && !price.MatchString(t.MaxPrice):
		return refused(code, "The highest price is not one.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.texts = append(a.texts, t)
	return nil
}

// Texts returns the text messages that were taken since the last ClearMessages, in order.
func (a *Account) Texts() []Text {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clip(a.texts)
}

// LastText returns the last of them to a number.
func (a *Account) LastText(to string) (t Text, there bool) {
	for _, t := range slices.Backward(a.Texts()) {
		if t.To == to {
			return t, true
		}
	}
	return Text{}, false
}

// readForm reads the body of a request in the AWS query protocol.
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func readForm(body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refused("MalformedQueryString", "The body is not a form.")
	}
	for name, values := range form {
		if len(values) != 1 {
			return nil, refused("MalformedQueryString", "The parameter %s is there %d times.", name, len(values))
		}
	}
	return form, nil
}

// A queryError is an error in the AWS query protocol.
type queryError struct {
	XMLName   xml.Name `xml:"http://sns.amazonaws.com/doc/2010-03-31/ ErrorResponse"`
	Type      string   `xml:"Error>Type"` // Sender or Receiver
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// refuseQuery answers with an error as the AWS query protocol does.
func refuseQuery(w http.ResponseWriter, status int, code, message string) {
	said := queryError{Type: "Sender", Code: code, Message: message, RequestID: rand.Text()}
	if status >= 500 {
		said.Type = "Receiver"
	}
	writeXML(w, status, &said)
}

func writeXML(w http.ResponseWriter, status int, said any) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	if err := xml.NewEncoder(w).Encode(said); err != nil {
		panic(fmt.Sprint("amazon: an answer is not XML: ", err))
	}
}

// isQuery reports whether a request is in the AWS query protocol.
func isQuery(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}
