using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using UstHand;

/// <summary>
/// Runs the engine-free core without an engine:
/// `decode FILE` says the messages of a packet file as JSON lines;
/// `live ADDRESS DIALECT COUNT FILE [TOKEN]` takes COUNT messages from a service, keeps the stream in FILE and says it;
/// `watch ADDRESS SECONDS` says states and what arrives, to see how the client reconnects;
/// `feed ADDRESS DELAY_MS COUNT [AFTER]` samples the left hand COUNT times, every 5 ms, as an engine would, after the
/// first messages;
/// `stop ADDRESS` takes a few messages, stops the client, and lives on until its input ends;
/// `interpolate FILE SIDE TIME_NS...` says the hand of a side at instants;
/// `url ADDRESS [UP]` says the stream's address; `waits` says the first waits of the backoff.
/// </summary>
static class Program
{
    const int PatienceMs = 120000;

    [DllImport("libc", EntryPoint = "_exit")]
    static extern void ExitAtOnce(int status);

    static void Main(string[] arguments)
    {
        int status = Attempt(arguments);
        Console.Out.Flush();
        Console.Error.Flush();
        // Mono 6.8 now and then waits for ever in its own shutdown once thread pool work was cancelled, after Main ended.
        ExitAtOnce(status);
    }

    static int Attempt(string[] arguments)
    {
        try
        {
            Run(arguments);
            return 0;
        }
        catch (RefusedException error)
        {
            Console.Error.WriteLine(error.Message);
            return 3;
        }
        catch (DecodeException error)
        {
            Console.Error.WriteLine(error.Message);
            return 4;
        }
        catch (ArgumentException error)
        {
            Console.Error.WriteLine(error.Message);
            return 5;
        }
        catch (IOException error)
        {
            Console.Error.WriteLine(error.Message);
            return 5;
        }
    }

    static void Run(string[] arguments)
    {
        switch (arguments[0])
        {
            case "decode":
                Decode(arguments[1]);
                break;
            case "live":
                Live(
                    arguments[1], arguments[2], int.Parse(arguments[3], CultureInfo.InvariantCulture), arguments[4],
                    arguments.Length > 5 ? arguments[5] : null);
                break;
            case "watch":
                Watch(arguments[1], double.Parse(arguments[2], CultureInfo.InvariantCulture));
                break;
            case "feed":
                Feed(
                    arguments[1], double.Parse(arguments[2], CultureInfo.InvariantCulture),
                    int.Parse(arguments[3], CultureInfo.InvariantCulture),
                    arguments.Length > 4 ? int.Parse(arguments[4], CultureInfo.InvariantCulture) : 50);
                break;
            case "stop":
                Stop(arguments[1]);
                break;
            case "interpolate":
                Interpolate(arguments);
                break;
            case "url":
                var options = new StreamOptions { Address = arguments[1], MaxHz = 30, PredictMs = 12 };
                options.Up = arguments.Length > 2 ? arguments[2] : null;
                Console.Out.WriteLine(options.StreamUri().AbsoluteUri);
                break;
            case "waits":
                var backoff = new Backoff(0.5, 2, 3, 0.5);
                for (int i = 0; i < 12; i++)
                {
                    Console.Out.WriteLine(backoff.NextDelayS().ToString("R", CultureInfo.InvariantCulture));
                }
                break;
            default:
                throw new ArgumentException(
                    "'" + arguments[0] + "' is not known; use decode, live, watch, feed, stop, interpolate, url or waits");
        }
    }

    static void Decode(string path)
    {
        foreach (StreamMessage message in Messages(path))
        {
            Console.Out.WriteLine(JsonLines.Say(message));
        }
    }

    static IEnumerable<StreamMessage> Messages(string path)
    {
        var decoder = new MessageDecoder();
        foreach (byte[] payload in PacketFile.Read(path))
        {
            StreamMessage message = decoder.Decode(payload);
            if (message != null)
            {
                yield return message;
            }
        }
    }

    static void Live(string address, string dialect, int count, string path, string token)
    {
        var options = new StreamOptions { Address = address, Dialect = dialect, Fields = null, Token = token };
        var lines = new List<string>();
        using (var done = new ManualResetEventSlim())
        using (BinaryWriter packets = PacketFile.Create(path))
        using (var client = new StreamClient(options))
        {
            int hands = 0;
            client.PayloadReceived += (data, length, receivedNs) =>
            {
                if (!done.IsSet)
                {
                    PacketFile.Append(packets, receivedNs, data, length);
                }
            };
            client.MessageReceived += message =>
            {
                if (done.IsSet)
                {
                    return;
                }
                lines.Add(JsonLines.Say(message));
                hands += message is HandsMessage ? 1 : 0;
                if (hands == count)
                {
                    done.Set();
                }
            };
            client.Start();
            long begin = MonotonicClock.NowNs();
            while (!done.Wait(20))
            {
                if (client.Failure != null)
                {
                    throw client.Failure;
                }
                if (MonotonicClock.NowNs() - begin > PatienceMs * 1000000L)
                {
                    throw new DecodeException("no " + count + " messages came in time; the last trouble: " + client.Trouble);
                }
            }
            Console.Error.WriteLine(
                "clock " + (client.Clock.Known ? "known" : "unknown") + " " + client.Clock.OffsetNs + " "
                + client.Clock.RoundTripNs);
            if (client.Trouble.Length > 0)
            {
                Console.Error.WriteLine("trouble " + client.Trouble);
            }
        }
        foreach (string line in lines)
        {
            Console.Out.WriteLine(line);
        }
    }

    static void Watch(string address, double seconds)
    {
        var options = new StreamOptions { Address = address, Dialect = "mano" };
        using (var client = new StreamClient(options, new Backoff(0.02, 2, 0.1)))
        {
            client.MessageReceived += message =>
            {
                lock (Console.Out)
                {
                    Console.Out.WriteLine(JsonLines.Say(message));
                    Console.Out.Flush();
                }
            };
            client.Start();
            StreamState last = StreamState.Stopped;
            long end = MonotonicClock.NowNs() + (long)(seconds * 1e9);
            while (MonotonicClock.NowNs() < end && client.State != StreamState.Failed)
            {
                if (client.State != last)
                {
                    last = client.State;
                    Console.Error.WriteLine(last + " " + client.Trouble);
                }
                Thread.Sleep(2);
            }
            if (client.Failure != null)
            {
                throw client.Failure;
            }
        }
    }

    static void Feed(string address, double delayMs, int count, int after)
    {
        using (var feed = new HandFeed(new StreamOptions { Address = address }) { DelayMs = delayMs })
        {
            feed.Start();
            while (feed.Client.Received < after && feed.Client.Failure == null)
            {
                Thread.Sleep(5);
            }
            var sample = new HandSample();
            for (int i = 0; i < count; i++)
            {
                long timeNs = feed.ShownTimeNs();
                feed.Sample("left", timeNs, sample);
                Console.Out.WriteLine(
                    "{\"time_ns\":" + timeNs + ",\"newest_ns\":" + feed.Client.Buffer.Newest.PoseTimeNs
                    + ",\"delay_ns\":" + feed.Client.Delay.DelayNs + ",\"sample\":" + JsonLines.Say(sample) + "}");
                Thread.Sleep(5);
            }
        }
    }

    static void Stop(string address)
    {
        using (var client = new StreamClient(new StreamOptions { Address = address, Dialect = "mano" }))
        {
            client.Start();
            while (client.Received < 3 && client.Failure == null)
            {
                Thread.Sleep(2);
            }
            long begin = MonotonicClock.NowNs();
            client.Stop();
            Console.Out.WriteLine((MonotonicClock.NowNs() - begin) / 1000000 + " " + client.State);
            Console.Out.Flush();
            Console.In.ReadToEnd();
        }
    }

    static void Interpolate(string[] arguments)
    {
        var buffer = new MessageBuffer(1024);
        foreach (StreamMessage message in Messages(arguments[1]))
        {
            var hands = message as HandsMessage;
            if (hands != null)
            {
                buffer.Add(hands);
            }
        }
        var interpolator = new HandInterpolator(buffer);
        var sample = new HandSample();
        for (int i = 3; i < arguments.Length; i++)
        {
            interpolator.Sample(arguments[2], long.Parse(arguments[i], CultureInfo.InvariantCulture), sample);
            Console.Out.WriteLine(JsonLines.Say(sample));
        }
    }
}
