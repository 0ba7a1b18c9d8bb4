using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using UstHand;

/// <summary>Says messages as JSON lines, every number with all its digits, for other programs to compare.</summary>
static class JsonLines
{
    public static string Say(StreamMessage message)
    {
        var hello = message as Hello;
        if (hello != null)
        {
            return Map(
                Pair("kind", Text("hello")), Pair("v", Number(hello.Version)), Pair("format", Text(hello.Format)),
                Pair("fields", Texts(hello.Fields)), Pair("dialect", Text(hello.Dialect)),
                Pair("units", Text(hello.Units)), Pair("axes", Text(hello.Axes)),
                Pair("joint_names", Texts(hello.JointNames)), Pair("parents", List(hello.Parents, p => Number(p))),
                Pair("model_id", Text(hello.ModelId)), Pair("calibration_id", Text(hello.CalibrationId)),
                Pair("server_ns", Number(hello.ServerNs)), Pair("up", Text(hello.Up)),
                Pair("predict_ms", Number(hello.PredictMs)));
        }
        var pong = message as Pong;
        if (pong != null)
        {
            return Map(
                Pair("kind", Text("pong")), Pair("t", Number(pong.T)), Pair("received_ns", Number(pong.ReceivedNs)),
                Pair("sent_ns", Number(pong.SentNs)));
        }
        var hands = (HandsMessage)message;
        return Map(
            Pair("kind", Text("hands")), Pair("seq", Number(hands.Sequence)), Pair("frame_set", Number(hands.FrameSetId)),
            Pair("skew_ms", Number(hands.SkewMs)), Pair("views", Texts(hands.Views)),
            Pair("masked", Texts(hands.Masked)), Pair("suspect", Texts(hands.Suspect)),
            Pair("stamps_ns", List(
                new[] { hands.ExposureNs, hands.ReceivedNs, hands.SolvedNs, hands.SentNs }, s => Number(s))),
            Pair("calibration_id", Text(hands.CalibrationId)), Pair("model_id", Text(hands.ModelId)),
            Pair("predicted_ms", Number(hands.PredictedMs)), Pair("ended", hands.Ended ? "true" : "false"),
            Pair("hands", List(hands.Hands, Say)));
    }

    public static string Say(HandSample sample)
    {
        return Map(
            Pair("seen", sample.Seen ? "true" : "false"), Pair("id", Number(sample.Id)),
            Pair("joints", Floats(sample.Joints)), Pair("orientations", Floats(sample.Orientations)));
    }

    static string Say(Hand hand)
    {
        return Map(
            Pair("id", Number(hand.Id)), Pair("side", Text(hand.Side)), Pair("confidence", Number(hand.Confidence)),
            Pair("joints", Floats(hand.Joints)), Pair("orientations", Floats(hand.Orientations)),
            Pair("radii", Floats(hand.Radii)), Pair("tracked", List(hand.Tracked, t => t ? "true" : "false")),
            Pair("covariance_mm2", Floats(hand.CovarianceMm2)), Pair("vertices", Floats(hand.Vertices)),
            Pair("pose", Floats(hand.ManoPose)), Pair("shape", Floats(hand.ManoShape)),
            Pair("translation", Floats(hand.ManoTranslation)), Pair("reprojection_px", Numbers(hand.ReprojectionPx)),
            Pair("view_weight", Numbers(hand.ViewWeight)), Pair("predicted_ms", Number(hand.PredictedMs)));
    }

    static string Pair(string key, string value)
    {
        return Text(key) + ":" + value;
    }

    static string Map(params string[] pairs)
    {
        return "{" + string.Join(",", pairs) + "}";
    }

    static string List<T>(T[] values, Func<T, string> say)
    {
        return values == null ? "null" : "[" + string.Join(",", Array.ConvertAll(values, v => say(v))) + "]";
    }

    static string Texts(string[] values)
    {
        return List(values, Text);
    }

    static string Floats(float[] values)
    {
        return List(values, v => Finite(v) ? v.ToString("R", CultureInfo.InvariantCulture) : "null");
    }

    static string Numbers(Dictionary<string, double> values)
    {
        var pairs = new List<string>();
        foreach (KeyValuePair<string, double> pair in values)
        {
            pairs.Add(Pair(pair.Key, Number(pair.Value)));
        }
        return Map(pairs.ToArray());
    }

    static string Number(long value)
    {
        return value.ToString(CultureInfo.InvariantCulture);
    }

    static string Number(double value)
    {
        return Finite(value) ? value.ToString("R", CultureInfo.InvariantCulture) : "null";
    }

    static bool Finite(double value)
    {
        return !double.IsNaN(value) && !double.IsInfinity(value);
    }

    static string Text(string value)
    {
        var text = new StringBuilder("\"");
        foreach (char letter in value)
        {
            if (letter == '"' || letter == '\\')
            {
                text.Append('\\').Append(letter);
            }
            else if (letter < ' ' || letter > '~')
            {
                text.Append("\\u").Append(((int)letter).ToString("x4"));
            }
            else
            {
                text.Append(letter);
            }
        }
        return text.Append('"').ToString();
    }
}
